//! Builds the actix server; the binary runs and stops it.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, middleware, web};
use b24sync_domain::ports::HealthQuery;

use crate::routes;

/// Seconds that open requests get to finish when the server stops.
const SHUTDOWN_SECONDS: u64 = 25;

/// The inbound ports that handlers call.
#[derive(Clone)]
pub struct ApiPorts {
    /// Health.
    pub health: Arc<dyn HealthQuery>,
}

/// A server on this listener; it runs when awaited. Signals are left to the caller.
///
/// # Errors
/// When the listener cannot be used.
pub fn build(ports: ApiPorts, listener: TcpListener) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(Arc::clone(&ports.health)))
            .wrap(middleware::Compress::default())
            .wrap(middleware::DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")))
            .configure(routes::configure)
    })
    .disable_signals()
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .listen(listener)?
    .run();
    Ok(server)
}
