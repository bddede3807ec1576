//! A web service that answers at once and leaves the work to a worker: 202 with an address to ask at.
//!
//! `cargo run --example axum_service`

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taskq_client::{Client, Error, ErrorKind, State as Stands, TaskId};
use taskq_core::{TaskError, task};
use taskq_examples::{Fault, with_worker};
use taskq_worker::Worker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    number: u64,
    cents: u64,
}

/// Writes the invoice of an order.
#[task(name = "lessons.invoice", queue = "lessons.axum")]
async fn invoice(order: Order) -> Result<String, TaskError> {
    tokio::time::sleep(Duration::from_millis(50)).await; // the work
    let (units, cents) = (order.cents / 100, order.cents % 100);
    Ok(format!("order {}: {units}.{cents:02}", order.number))
}

/// One client for all requests: cheap to clone, and what is sent at the same time shares its way to the broker.
fn routes(client: Client) -> Router {
    Router::new()
        .route("/invoices", post(ask_for))
        .route("/invoices/{id}", get(look))
        .with_state(client)
}

async fn ask_for(State(client): State<Client>, order: Json<Order>) -> Result<Response, Refused> {
    // Who sends the same order twice gets one invoice.
    let key = format!("invoice-{}", order.number);
    let call = invoice::call(order.0).idempotency_key(key, HOUR);
    let sent = client.send(call).await?;
    let place = format!("/invoices/{}", sent.id());
    let body = Json(json!({ "id": sent.id().to_string() }));
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], body).into_response())
}

async fn look(State(client): State<Client>, Path(id): Path<String>) -> Result<Response, Refused> {
    let id: TaskId = id.parse()?;
    let Some(record) = client.handle::<String>(id).record().await? else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    Ok(match record.state {
        Stands::Success => Json(json!({ "invoice": record.result })).into_response(),
        state if state.is_final() => {
            let body = Json(json!({ "state": state, "error": record.error }));
            (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
        state => (StatusCode::ACCEPTED, Json(json!({ "state": state }))).into_response(),
    })
}

/// What the broker, or its client, refused.
struct Refused(Error);

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0.kind() {
            ErrorKind::Invalid | ErrorKind::TooLarge => StatusCode::BAD_REQUEST,
            // The same request may succeed later.
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(json!({ "error": self.0.to_string() }))).into_response()
    }
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let worker = Worker::builder().queues(["lessons.axum"]);
    with_worker(worker, async |client| {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let service = axum::serve(listener, routes(client));
        tokio::select! {
            end = service.into_future() => Ok(end?),
            seen = visit(&address) => seen,
        }
    })
    .await
}

/// A visitor: asks for an invoice twice, and looks until it is there.
async fn visit(address: &str) -> Result<(), Fault> {
    let order = r#"{"number":77,"cents":1250}"#;
    let (status, first) = request(address, "POST", "/invoices", order).await?;
    println!("POST /invoices: {status}");
    let (_, again) = request(address, "POST", "/invoices", order).await?;
    println!("the same order again, the same task: {}", first == again);

    let id = first["id"].as_str().ok_or("an id")?;
    let place = format!("/invoices/{id}");
    loop {
        match request(address, "GET", &place, "").await? {
            (202, _) => tokio::time::sleep(Duration::from_millis(10)).await,
            (status, invoice) => {
                println!("GET /invoices/<id>: {status} {invoice}");
                break;
            }
        }
    }
    let (status, error) = request(address, "GET", "/invoices/none", "").await?;
    println!("GET /invoices/none: {status} {error}");
    Ok(())
}

/// What `curl` would do.
async fn request(
    address: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<(u16, Value), Fault> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).ok_or("a status")?.parse()?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("a body")?;
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}
