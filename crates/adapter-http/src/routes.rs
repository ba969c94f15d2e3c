//! The one table of paths and methods.

use actix_web::web;

use crate::handlers;

/// Mounts every route; also for mounting them into an application of one's own.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/health").route(web::get().to(handlers::health::health)));
}
