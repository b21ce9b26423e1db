//! The admin port: `/metrics`, `/livez`, `/readyz`, and the console.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use mneme_driver::server::Server;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::console::{self, Door};
use crate::env::RealEnv;
use crate::metrics::{self, TlsMetrics};

/// What the admin port shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admin {
    /// This node's name.
    pub node: String,
    /// Set once the node belongs to a cluster and has read its data.
    pub server: Arc<OnceLock<Arc<Server<RealEnv>>>>,
    /// It has been ready once.
    pub ready: Arc<AtomicBool>,
    pub tls: Arc<TlsMetrics>,
    /// With the certificate that clients see, once there is one.
    pub server_tls: Arc<OnceLock<Arc<ServerConfig>>>,
}

/// Serves the admin port for ever.
pub(crate) async fn serve(listener: TcpListener, admin: Admin) {
    let tls = admin.server_tls.clone();
    let routes = Router::new()
        .route("/metrics", get(metrics_page))
        // The process answers: whoever restarts it for any other reason makes things worse.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(admin.clone())
        .merge(console::routes(admin));
    Door { routes, tls, seats: Arc::default() }.accept(listener).await;
}

async fn metrics_page(State(admin): State<Admin>) -> impl IntoResponse {
    let text = metrics::text(admin.server.get().map(|server| &**server), &admin.tls);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    admin.readiness()
}

impl Admin {
    /// What `/readyz` answers.
    pub(crate) fn readiness(&self) -> (StatusCode, &'static str) {
        let not = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
        let Some(server) = self.server.get() else { return not("starting: it does not belong to a cluster yet\n") };
        if !self.ready.load(Ordering::Relaxed) {
            return not("starting: it recovers, or waits for other nodes\n");
        }
        let disk_full = match (server.node(), server.keeper()) {
            (Some(node), _) if node.with_core(|core| core.is_stopping()) => return not("stopping\n"),
            (Some(node), _) => node.with_core(|core| core.keeper().disk_full),
            (None, Some(keeper)) => keeper.state().disk_full,
            (None, None) => false,
        };
        match disk_full {
            true => not("the disk is full: reads are answered, writes refused until there is space\n"),
            false => (StatusCode::OK, "ok\n"),
        }
    }
}
