//! The service in this process, over a memory broker, called without a socket.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use logistica::{Logistica, PLAZO, rutas};
use logistica_dominio::Almacen;
use logistica_tareas::{SistemaBodega, generar_reporte, procesar_entrega, validar_inventario};
use serde_json::Value;
use servicio::aplicacion;
use taskq_client::{Client, QueueName, WorkerCard};
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{Broker, Inspect};
use taskq_worker::task::Registry;
use taskq_worker::{CancellationToken, Worker};
use tempfile::TempDir;
use tower::ServiceExt;

const LARGO: Duration = Duration::from_secs(3_600);

pub(crate) struct Escenario {
    pub(crate) broker: MemoryBroker,
    pub(crate) almacen: Almacen,
    app: Router,
    _carpeta: TempDir,
}

impl Escenario {
    /// No worker lives, and none ever did.
    pub(crate) fn nuevo() -> Self {
        let broker = MemoryBroker::new();
        let cliente = Client::builder()
            .send_deadline(PLAZO)
            .over(Arc::new(broker.clone()));
        Self::con(broker, cliente)
    }

    /// The service over `cliente`.
    pub(crate) fn con(broker: MemoryBroker, cliente: Client) -> Self {
        let carpeta = tempfile::tempdir().unwrap();
        let almacen = Almacen::abrir(carpeta.path().join("logistica.db")).unwrap();
        let logistica = Logistica::nueva(cliente, almacen.clone());
        Self {
            broker,
            almacen,
            app: aplicacion("logistica", rutas(logistica), &[]),
            _carpeta: carpeta,
        }
    }

    /// The tasks are published by a worker that lives, and runs nothing.
    pub(crate) async fn publicado() -> Self {
        let escenario = Self::nuevo();
        let tareas = registro().published();
        escenario
            .broker
            .register(&tarjeta(), &tareas, LARGO)
            .await
            .unwrap();
        escenario
    }

    /// The worker of [`Escenario::publicado`] is gone.
    pub(crate) async fn retirar(&self) {
        self.broker.withdraw(&tarjeta().id).await.unwrap();
    }

    /// A worker runs the tasks until the token returned is cancelled.
    pub(crate) fn trabajar(&self) -> CancellationToken {
        let parar = CancellationToken::new();
        let bodega = SistemaBodega::nuevo(0.0, Duration::ZERO);
        let worker = Worker::builder()
            .backend(Arc::new(self.broker.clone()))
            .registry(registro())
            .queues(["logistica"])
            .node("w1@prueba")
            .state(logistica_tareas::Logistica::nueva(
                self.almacen.clone(),
                bodega,
            ))
            .stop(parar.clone())
            .build()
            .unwrap();
        tokio::spawn(worker.run());
        parar
    }

    /// How many messages wait for a worker.
    pub(crate) async fn en_cola(&self) -> u64 {
        let cola = QueueName::new("logistica").unwrap();
        self.broker.depth(&cola).await.unwrap().waiting
    }

    pub(crate) async fn get(&self, ruta: &str) -> (StatusCode, Value) {
        self.pedir("GET", ruta, "").await
    }

    pub(crate) async fn post(&self, cuerpo: &str) -> (StatusCode, Value) {
        self.pedir("POST", "/tareas", cuerpo).await
    }

    /// Sends a task that is accepted, and answers its id.
    pub(crate) async fn aceptada(&self, cuerpo: &str) -> String {
        let (estado, cuerpo) = self.post(cuerpo).await;
        assert_eq!(estado, StatusCode::ACCEPTED, "{cuerpo}");
        cuerpo["task_id"].as_str().unwrap().to_owned()
    }

    /// What became of a task, once it has ended.
    pub(crate) async fn terminada(&self, id: &str) -> Value {
        for _ in 0..2_000 {
            let (estado, tarea) = self.get(&format!("/tareas/{id}")).await;
            assert_eq!(estado, StatusCode::OK, "{tarea}");
            if !tarea["terminada"].is_null() {
                return tarea;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("task {id} does not end");
    }

    async fn pedir(&self, metodo: &str, ruta: &str, cuerpo: &str) -> (StatusCode, Value) {
        let peticion = Request::builder()
            .method(metodo)
            .uri(ruta)
            .header("content-type", "application/json")
            .body(Body::from(cuerpo.to_owned()))
            .unwrap();
        let (partes, cuerpo) = self
            .app
            .clone()
            .oneshot(peticion)
            .await
            .unwrap()
            .into_parts();
        let bytes = to_bytes(cuerpo, usize::MAX).await.unwrap();
        (partes.status, serde_json::from_slice(&bytes).unwrap())
    }
}

fn registro() -> Registry {
    let defs = [
        &procesar_entrega::DEF,
        &validar_inventario::DEF,
        &generar_reporte::DEF,
    ];
    Registry::from_defs(defs).unwrap()
}

fn tarjeta() -> WorkerCard {
    WorkerCard {
        id: "w0".into(),
        node: "w0@prueba".into(),
        host: "prueba".into(),
        pid_space: String::new(),
        pid: 7,
        queues: vec![QueueName::new("logistica").unwrap()],
        slots: 1,
        tasks: registro().iter().map(|def| def.name.to_owned()).collect(),
        lease_ms: 10_000,
        started: 0,
        version: "0".into(),
        active: 0,
        processed: 0,
        stopping: false,
    }
}
