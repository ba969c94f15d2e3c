//! `/api/v1/sync/validate/{entity}`: a dry run of the mapping.

use actix_web::web;
use b24sync_domain::ports::{FieldCheck, MappingCheck, MappingQuery};
use serde::Serialize;
use utoipa::ToSchema;

use crate::params::KnownEntity;
use crate::problem::Problem;

/// How well a sample of the portal's records fits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidationAnswer {
    entity_type: &'static str,
    /// `success` when every value fits, `warning` when some do not, `empty` when there was no record to try.
    status: &'static str,
    records_tested: u64,
    total_fields: usize,
    /// Fields with a value that does not fit.
    failed_fields: usize,
    /// Fields whose values all fit, in per cent.
    success_rate: f64,
    validation_results: Vec<FieldBody>,
}

/// How well the values of a field fit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldBody {
    /// Its column.
    field_name: String,
    /// Its name in the portal.
    original_key: String,
    /// Shapes of values, masked.
    sample_values: Vec<String>,
    valid_count: u64,
    invalid_count: u64,
    errors: Vec<String>,
}

impl From<FieldCheck> for FieldBody {
    fn from(check: FieldCheck) -> FieldBody {
        FieldBody {
            field_name: check.column,
            original_key: check.field,
            sample_values: check.samples,
            valid_count: check.valid,
            invalid_count: check.invalid,
            errors: check.errors,
        }
    }
}

impl From<MappingCheck> for ValidationAnswer {
    fn from(check: MappingCheck) -> ValidationAnswer {
        let total = check.fields.len();
        let failed = check.fields.iter().filter(|field| field.invalid > 0).count();
        let status = match (check.records, failed) {
            (0, _) => "empty",
            (_, 0) => "success",
            _ => "warning",
        };
        ValidationAnswer {
            entity_type: check.entity.key(),
            status,
            records_tested: check.records,
            total_fields: total,
            failed_fields: failed,
            success_rate: rate(total - failed, total),
            validation_results: check.fields.into_iter().map(FieldBody::from).collect(),
        }
    }
}

/// A share in per cent, to two places.
fn rate(part: usize, whole: usize) -> f64 {
    let hundredths = (part * 10_000).checked_div(whole).unwrap_or(10_000);
    f64::from(u32::try_from(hundredths).unwrap_or(10_000)) / 100.0
}

/// Tries the mapping on a sample of the portal's records; stores nothing.
#[utoipa::path(
    get, path = "/api/v1/sync/validate/{entity}", tag = "sync",
    params(("entity" = String, Path, description = "The entity", example = "deal")),
    responses((status = 200, description = "Field by field", body = ValidationAnswer, example = json!({
        "entity_type": "deal", "status": "success", "records_tested": 50, "total_fields": 1, "failed_fields": 0,
        "success_rate": 100.0, "validation_results": [{
            "field_name": "title", "original_key": "TITLE", "sample_values": ["aaaa 00"], "valid_count": 50,
            "invalid_count": 0, "errors": []
        }]
    })))
)]
pub(crate) async fn validate(
    entity: KnownEntity,
    mapping: web::Data<dyn MappingQuery>,
) -> Result<web::Json<ValidationAnswer>, Problem> {
    Ok(web::Json(mapping.check(entity.0).await?.into()))
}
