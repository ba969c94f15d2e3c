//! What goes wrong on the way is repeated, and what a person must mend is not.

use b24sync_adapter_bitrix::Dialect;
use b24sync_domain::error::{Chain, Remedy, SourceError};
use b24sync_domain::pacing::RateLimits;
use b24sync_domain::ports::CrmSource;
use b24sync_domain::progress::Window;
use b24sync_portal_emulator::{Entity, Fault, FaultPlan, OperatingLimit, RateLimit, When};

use crate::support::{Rig, config, deals, entity, portal, query};

#[tokio::test(flavor = "multi_thread")]
async fn every_seventh_answer_spoilt_loses_and_repeats_nothing() {
    let (portal, running) = portal(|config| {
        config.counts = b24sync_portal_emulator::Counts::deals(721);
        config.user_fields = 4;
    });
    for dialect in [Dialect::Item, Dialect::Classic] {
        portal.set_faults(FaultPlan::rotating(7));
        portal.reset_stats();
        let rig = Rig::on(&running, dialect);
        // There are fourteen ways to spoil an answer.
        while portal.stats().faults < 14 {
            assert_eq!(rig.read_all(entity("deal")).await.unwrap().ids(), portal.ids(Entity::Deal), "{dialect:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_single_fault_is_survived_twice() {
    let (portal, running) = deals(230);
    for fault in [
        Fault::Status { status: 500 },
        Fault::Status { status: 502 },
        Fault::Status { status: 503 },
        Fault::HtmlWith200,
        Fault::TruncatedBody,
        Fault::CutJson,
        Fault::InvalidJson,
        Fault::Delay { milliseconds: 20 },
        Fault::ConnectionReset,
        Fault::LostAfterExecution,
        Fault::error("QUERY_LIMIT_EXCEEDED"),
        Fault::error("INTERNAL_SERVER_ERROR"),
        Fault::error("ERROR_UNEXPECTED_ANSWER"),
        Fault::error("OPERATION_TIME_LIMIT"),
        Fault::BatchPartialError { code: "INTERNAL_SERVER_ERROR".to_owned() },
        Fault::BatchPartialError { code: "OPERATION_TIME_LIMIT".to_owned() },
        Fault::DeepNesting { depth: 100 },
    ] {
        let rig = Rig::on(&running, Dialect::Item);
        rig.source.fields(entity("deal")).await.unwrap();
        portal.set_faults(FaultPlan::next(2, fault.clone()));
        let table = rig.read_all(entity("deal")).await.unwrap_or_else(|error| panic!("{fault:?}: {}", Chain(&error)));
        assert_eq!(table.ids(), portal.ids(Entity::Deal), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lying_pages_are_never_believed() {
    let (portal, running) = deals(430);
    for fault in [Fault::WrongOrder, Fault::IgnoredFilter] {
        portal.set_faults(FaultPlan::none());
        let rig = Rig::on(&running, Dialect::Item);
        let fields = rig.source.fields(entity("deal")).await.unwrap();
        let first = rig.page(&query(entity("deal"), &fields, Window::Everything)).await.unwrap();
        let mut second = query(entity("deal"), &fields, Window::Everything);
        second.cursor = b24sync_domain::progress::Cursor::after(first.ids()[60].get());
        portal.set_faults(FaultPlan::always(fault.clone()).on("crm.item.list"));
        let error = rig.page(&second).await.unwrap_err();
        assert!(matches!(error, SourceError::Page { .. }), "{fault:?}: {error:?}");
        assert!(matches!(error.remedy(), Remedy::Retry { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_page_in_the_middle_is_not_the_end() {
    let (portal, running) = deals(2_000);
    portal.set_faults(FaultPlan::every(5, Fault::ShortPage).on("crm.item.list"));
    let table = Rig::on(&running, Dialect::Item).read_all(entity("deal")).await.unwrap();
    assert_eq!(table.ids(), portal.ids(Entity::Deal));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_the_rate_delays_and_is_reported() {
    let (portal, running) = deals(120);
    let rig = Rig::on(&running, Dialect::Item);
    portal.set_faults(FaultPlan::next(2, Fault::error("QUERY_LIMIT_EXCEEDED")));
    assert_eq!(rig.read_all(entity("deal")).await.unwrap().ids().len(), 120);
    assert_eq!(rig.pacer.reports.lock().unwrap().iter().filter(|report| report.rate_refused).count(), 2);

    portal.set_faults(FaultPlan::always(Fault::error("QUERY_LIMIT_EXCEEDED")));
    portal.reset_stats();
    let error = rig.source.fields(entity("deal")).await.unwrap_err();
    assert!(matches!(error, SourceError::RateLimited { .. }), "{error:?}");
    assert_eq!(portal.stats().http_requests, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_method_is_reported_with_the_reset_that_was_heard_last() {
    let (_portal, running) = portal(|config| {
        config.counts = b24sync_portal_emulator::Counts::deals(3_000);
        config.operating = Some(OperatingLimit { limit_seconds: 1.0, ..OperatingLimit::default() });
    });
    let rig = Rig::on(&running, Dialect::Item);
    let error = rig.read_all(entity("deal")).await.err().unwrap();
    assert!(
        matches!(&error, SourceError::MethodExhausted { method, resets_at: Some(_) } if method == "crm.item.list"),
        "{error:?}"
    );
    let reports = rig.pacer.reports.lock().unwrap();
    assert!(
        reports
            .iter()
            .any(|report| report.method == "crm.item.list" && report.method_refused && report.resets_in.is_some())
    );
    assert!(matches!(error.remedy(), Remedy::Retry { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pacer_alone_keeps_inside_the_portals_rate() {
    let (portal, running) = deals(2_000);
    portal.set_rate(Some(RateLimit { per_second: 20.0, burst: 12.0 }));
    let pacer = std::sync::Arc::new(b24sync_adapter_bitrix::BudgetPacer::alone(RateLimits::new(20.0, 12), 480.0));
    let source =
        b24sync_adapter_bitrix::BitrixSource::new(&config(&running.webhook_url(), Dialect::Item), pacer).unwrap();
    for _ in 0..40 {
        source.count(entity("deal")).await.unwrap();
    }
    assert_eq!(portal.stats().throttled, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_is_final_after_one_request() {
    let (portal, running) = deals(10);
    let address = running.webhook_url().replace(&portal.config().webhook_code, "wr0ngc0de");
    let rig = Rig::with(&config(&address, Dialect::Item));
    let error = rig.source.fields(entity("deal")).await.unwrap_err();
    assert!(matches!(error, SourceError::Unauthorized { .. }), "{error:?}");
    assert_eq!(error.remedy(), Remedy::Operator);
    assert_eq!(portal.stats().http_requests, 1);
    portal.revoke_webhook();
    let error = Rig::on(&running, Dialect::Item).source.profile().await.unwrap_err();
    assert!(matches!(error, SourceError::Unauthorized { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named() {
    let (portal, running) = deals(10);
    portal.set_scopes(["user"]);
    for dialect in [Dialect::Item, Dialect::Classic] {
        let rig = Rig::on(&running, dialect);
        let error = rig.source.fields(entity("deal")).await.unwrap_err();
        assert!(matches!(error, SourceError::MissingScope { .. }), "{error:?}");
        assert!(!rig.source.profile().await.unwrap().scopes.contains(&"crm".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_and_missing_types_are_told_apart() {
    let (portal, running) = deals(10);
    portal.set_crm_rights(false);
    let error = Rig::on(&running, Dialect::Item).read_all(entity("deal")).await.err().unwrap();
    assert!(matches!(error, SourceError::Forbidden { .. }), "{error:?}");
    portal.set_crm_rights(true);
    portal.remove_entity_type(Entity::Deal, true);
    let error = Rig::on(&running, Dialect::Item).read_all(entity("deal")).await.err().unwrap();
    assert!(matches!(error, SourceError::Rejected { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_portal_is_followed_once() {
    let (portal, running) = deals(70);
    let target = b24sync_portal_emulator::Portal::new(portal.config().clone());
    let new_home = target.start().unwrap();
    let location = new_home.base_url();
    portal.set_faults(FaultPlan::always(Fault::Redirect302 { location: location.clone() }));
    let rig = Rig::on(&running, Dialect::Item);
    assert_eq!(rig.read_all(entity("deal")).await.unwrap().ids(), portal.ids(Entity::Deal));
    assert_eq!(portal.stats().http_requests, 1);

    target.set_faults(FaultPlan::always(Fault::Redirect302 { location: running.base_url() }));
    let error = rig.source.fields(entity("deal")).await.unwrap_err();
    assert!(matches!(error, SourceError::Moved { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_does_not_get_the_code() {
    let (portal, running) = deals(70);
    portal.set_faults(FaultPlan::always(Fault::Redirect302 { location: "https://portal.evil.example".to_owned() }));
    let error = Rig::on(&running, Dialect::Item).source.profile().await.unwrap_err();
    assert!(matches!(&error, SourceError::Moved { host } if host == "portal.evil.example"), "{error:?}");
    assert_eq!(portal.stats().http_requests, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_limit_makes_the_batches_smaller() {
    let (portal, running) = deals(1_500);
    let mut config = config(&running.webhook_url(), Dialect::Item);
    config.max_body = 600_000;
    let rig = Rig::with(&config);
    assert_eq!(rig.read_all(entity("deal")).await.unwrap().ids(), portal.ids(Entity::Deal));

    portal.set_faults(FaultPlan::always(Fault::OversizedBody { bytes: 1_000_000 }));
    let error = rig.source.profile().await.unwrap_err();
    assert!(Chain(&error).to_string().contains("longer than 600000 bytes"), "{}", Chain(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_nesting_is_refused_before_parsing() {
    let (portal, running) = deals(10);
    portal.set_faults(FaultPlan::always(Fault::DeepNesting { depth: 100_000 }));
    let error = Rig::on(&running, Dialect::Item).source.profile().await.unwrap_err();
    let chain = Chain(&error).to_string();
    assert!(chain.contains("nested deeper than 64") || chain.contains("instead of JSON"), "{chain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_middle_of_a_batch_keeps_the_pages_before_it() {
    let (portal, running) = deals(500);
    let rig = Rig::on(&running, Dialect::Item);
    let fields = rig.source.fields(entity("deal")).await.unwrap();
    portal.set_faults(FaultPlan::none().and(
        Some("crm.item.list"),
        When::After(3),
        vec![Fault::error("OPERATION_TIME_LIMIT")],
    ));
    let batch = rig.page(&query(entity("deal"), &fields, Window::Everything)).await.unwrap();
    assert_eq!(batch.ids().iter().map(|id| id.get()).collect::<Vec<_>>(), portal.ids(Entity::Deal)[..150]);
    assert!(!batch.exhausted);
    assert!(rig.pacer.reports.lock().unwrap().iter().any(|report| report.method_refused));
}
