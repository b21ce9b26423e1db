//! The admin port: `/metrics`, `/livez`, `/readyz`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use mneme_driver::node::Node;
use tokio::net::TcpListener;

use crate::env::RealEnv;
use crate::metrics::{self, TlsMetrics};

/// What the admin port shows.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub node: Arc<Node<RealEnv>>,
    pub tls: Arc<TlsMetrics>,
}

/// Serves the admin port for ever.
pub(crate) async fn serve(listener: TcpListener, admin: Admin) {
    let routes = Router::new()
        .route("/metrics", get(metrics_page))
        // The process answers: whoever restarts it for any other reason makes things worse.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(admin);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!("the admin port is closed: {error}");
    }
}

async fn metrics_page(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::text(&admin.node, &admin.tls))
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    admin.node.with_core(|core| {
        if core.takes_writes() {
            (StatusCode::OK, "ok\n")
        } else if core.keeper().disk_full {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the disk is full: reads are answered, writes refused until there is space\n",
            )
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not primary, or stopping\n")
        }
    })
}
