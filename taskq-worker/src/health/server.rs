//! The answers over HTTP.

use std::net::TcpListener;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};

use super::place::Places;
use super::report::Report;
use super::{Known, Stage};

/// Answers at `listener` until dropped, or until that can not go on.
pub(super) async fn serve(listener: Arc<TcpListener>, known: Arc<Known>) {
    let listener = listener
        .try_clone()
        .and_then(tokio::net::TcpListener::from_std);
    let served = match listener {
        Ok(listener) => axum::serve(Places::new(listener), app(known)).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::warn!("health can not be answered: {error}");
    }
}

fn app(known: Arc<Known>) -> Router {
    Router::new()
        .route(
            "/live",
            get(async |State(known): State<Arc<Known>>| known.live()),
        )
        .route(
            "/ready",
            get(async |State(known): State<Arc<Known>>| known.ready()),
        )
        .route("/metrics", get(metrics))
        .layer(middleware::map_response(one_request))
        .with_state(known)
}

async fn metrics(State(known): State<Arc<Known>>) -> Response {
    known.queues.look().await;
    if let Stage::Works {
        ledger, serving, ..
    } = &*known.stage()
    {
        known
            .metrics
            .look(serving.slots().total(), ledger, &known.turns);
    }
    match known.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// One request for each connection: who looks every few seconds holds no place in between.
async fn one_request(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

impl IntoResponse for Report {
    fn into_response(self) -> Response {
        let status = match self.good {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(self.body)).into_response()
    }
}
