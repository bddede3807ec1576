//! The service in this process, over a memory broker, called without a socket.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use monitor::{Monitor, rutas};
use monitor_dominio::{Bitacora, Servicios};
use serde_json::Value;
use servicio::aplicacion;
use taskq_client::{Client, QueueName, WorkerCard};
use taskq_worker::testing::TestBroker;
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) struct Escenario {
    pub(crate) bitacora: Bitacora,
    app: Router,
    _carpeta: TempDir,
}

impl Escenario {
    /// Over `cliente`, with the services of `servicios`.
    pub(crate) fn con(cliente: Client, servicios: &str) -> Self {
        let carpeta = tempfile::tempdir().unwrap();
        let bitacora = Bitacora::abrir(carpeta.path().join("monitor.db")).unwrap();
        let servicios: Servicios = servicios.parse().unwrap();
        let monitor = Monitor::nuevo(cliente, bitacora.clone(), servicios);
        let origenes = ["http://localhost:4200".parse().unwrap()];
        Self {
            bitacora,
            app: aplicacion("monitor", rutas(monitor), &origenes),
            _carpeta: carpeta,
        }
    }

    /// Over the broker of a test.
    pub(crate) fn sobre(broker: &TestBroker) -> Self {
        Self::con(broker.client(), "")
    }

    /// Over a Redis that may not be there.
    pub(crate) async fn sobre_redis(puerto: u16) -> Self {
        let url = format!("redis://127.0.0.1:{puerto}/0");
        Self::con(Client::connect(&url).await.unwrap(), "")
    }

    pub(crate) async fn get(&self, ruta: &str) -> (StatusCode, Value) {
        self.pedir(&format!("GET {ruta}"), "").await
    }

    pub(crate) async fn pedir(&self, que: &str, cuerpo: &str) -> (StatusCode, Value) {
        programas::pedir(&self.app, que, cuerpo).await
    }

    /// The answer to a page of `origen`.
    pub(crate) async fn responder(&self, ruta: &str, origen: &str) -> axum::response::Response {
        let peticion = Request::builder().uri(ruta).header("origin", origen);
        let peticion = peticion.body(Body::empty()).unwrap();
        self.app.clone().oneshot(peticion).await.unwrap()
    }

    /// The body of a 200.
    pub(crate) async fn leer(&self, ruta: &str) -> Value {
        let (estado, cuerpo) = self.get(ruta).await;
        assert_eq!(estado, StatusCode::OK, "{cuerpo}");
        cuerpo
    }
}

/// A worker of two queues that lives, and answers nothing.
pub(crate) fn tarjeta(node: &str) -> WorkerCard {
    WorkerCard {
        id: format!("id of {node}"),
        node: node.into(),
        host: "prueba".into(),
        pid_space: String::new(),
        pid: 7,
        queues: ["celery", "monitor"]
            .map(|q| QueueName::new(q).unwrap())
            .into(),
        slots: 3,
        tasks: Vec::new(),
        lease_ms: 10_000,
        started: 1_795_000_000_000,
        version: "0".into(),
        active: 2,
        processed: 40,
        stopping: false,
        renewed: 1_795_000_060_000,
    }
}
