//! Whose replica it is.

use b24sync_domain::portal::{BoundStyle, EntityProbe, PortalProfile};
use b24sync_domain::ports::Claim;

use super::Stores;
use crate::build::{deal, portal_time};

/// Two portals in one table would be a mixture that nobody can take apart.
pub(super) async fn a_replica_belongs_to_one_portal(stores: &Stores) {
    let claim = async |address, moved| stores.portals.claim(address, moved).await.expect("a claim");
    assert_eq!(stores.portals.portal().await.expect("the portal"), None);
    assert_eq!(claim("one.example", false).await, Claim::Ours);
    assert_eq!(claim("one.example", false).await, Claim::Ours);
    assert_eq!(claim("two.example", false).await, Claim::Another("one.example".to_owned()));
    assert_eq!(claim("two.example", true).await, Claim::Ours);
    assert_eq!(claim("one.example", false).await, Claim::Another("two.example".to_owned()));
}

/// Another user may have another time zone and other rights.
pub(super) async fn a_probe_of_another_user_is_stale(stores: &Stores) {
    stores.portals.claim("one.example", false).await.expect("a claim");
    let profile = |user_id| PortalProfile {
        user_id,
        admin: Some(true),
        time_zone: Some("Europe/Moscow".to_owned()),
        scopes: vec!["crm".to_owned(), "user_brief".to_owned()],
        server_time: portal_time(7),
        behind: chrono::TimeDelta::hours(2),
    };
    stores.portals.keep_profile(&profile(1)).await.expect("the profile");
    let known = stores.portals.portal().await.expect("the portal").expect("a portal");
    assert_eq!(known.profile, Some(profile(1)));
    assert_eq!(stores.portals.probe(deal()).await.expect("the probe"), None);
    let probe = EntityProbe {
        entity: deal(),
        bounds: Some(BoundStyle::PortalClock),
        keyset: true,
        ahead: chrono::TimeDelta::seconds(3),
    };
    stores.portals.keep_probe(&probe).await.expect("the probe");
    let kept = stores.portals.probe(deal()).await.expect("the probe").expect("a probe");
    assert_eq!((kept.probe, kept.stale), (probe, false));
    stores.portals.keep_profile(&profile(2)).await.expect("the profile");
    assert!(stores.portals.probe(deal()).await.expect("the probe").expect("a probe").stale);
}
