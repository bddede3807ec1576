//! The service in this process, over a memory broker, called without a socket.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use logistica::{Logistica, PLAZO, rutas};
use logistica_dominio::Almacen;
use logistica_tareas::{SistemaBodega, generar_reporte, procesar_entrega, validar_inventario};
use serde_json::Value;
use servicio::aplicacion;
use taskq_client::{Client, QueueName, WorkerCard};
use taskq_worker::task::Registry;
use taskq_worker::testing::TestBroker;
use tempfile::TempDir;

const LARGO: Duration = Duration::from_secs(3_600);

pub(crate) struct Escenario {
    /// With a worker of the tasks, which runs what [`Escenario::terminada`] waits for.
    pub(crate) broker: TestBroker,
    pub(crate) almacen: Almacen,
    app: Router,
    _carpeta: TempDir,
}

impl Escenario {
    /// No worker is known, and none ever was.
    pub(crate) fn nuevo() -> Self {
        Self::con(|broker| broker.client())
    }

    /// The service over a client of the test's own.
    pub(crate) fn con(cliente: impl FnOnce(&TestBroker) -> Client) -> Self {
        let carpeta = tempfile::tempdir().unwrap();
        let almacen = Almacen::abrir(carpeta.path().join("logistica.db")).unwrap();
        let bodega = SistemaBodega::nuevo(0.0, Duration::ZERO);
        let comparten = logistica_tareas::Logistica::nueva(almacen.clone(), bodega);
        let broker = TestBroker::builder()
            .client(|cliente| cliente.send_deadline(PLAZO))
            .worker(|worker| {
                let worker = worker.registry(registro()).queues(["logistica"]);
                worker.node("w1@prueba").state(comparten)
            })
            .build()
            .unwrap();
        let logistica = Logistica::nueva(cliente(&broker), almacen.clone());
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
        let backend = escenario.broker.backend();
        backend.register(&tarjeta(), &tareas, LARGO).await.unwrap();
        escenario
    }

    /// The worker of [`Escenario::publicado`] is gone.
    pub(crate) async fn retirar(&self) {
        self.broker.backend().withdraw(&tarjeta().id).await.unwrap();
    }

    /// How many messages wait for a worker.
    pub(crate) async fn en_cola(&self) -> u64 {
        let cola = QueueName::new("logistica").unwrap();
        self.broker.backend().depth(&cola).await.unwrap().waiting
    }

    pub(crate) async fn get(&self, ruta: &str) -> (StatusCode, Value) {
        self.pedir(&format!("GET {ruta}"), "").await
    }

    pub(crate) async fn post(&self, cuerpo: &str) -> (StatusCode, Value) {
        self.pedir("POST /tareas", cuerpo).await
    }

    /// Sends a task that is accepted, and answers its id.
    pub(crate) async fn aceptada(&self, cuerpo: &str) -> String {
        let (estado, cuerpo) = self.post(cuerpo).await;
        assert_eq!(estado, StatusCode::ACCEPTED, "{cuerpo}");
        cuerpo["task_id"].as_str().unwrap().to_owned()
    }

    /// What became of a task, once all that was sent has been worked off.
    pub(crate) async fn terminada(&self, id: &str) -> Value {
        self.broker.drain_all().await;
        let (estado, tarea) = self.get(&format!("/tareas/{id}")).await;
        assert_eq!(estado, StatusCode::OK, "{tarea}");
        tarea
    }

    pub(crate) async fn pedir(&self, que: &str, cuerpo: &str) -> (StatusCode, Value) {
        programas::pedir(&self.app, que, cuerpo).await
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
        queues: vec![QueueName::new("logistica").unwrap()],
        tasks: registro().iter().map(|def| def.name.to_owned()).collect(),
        ..WorkerCard::double("w0@prueba")
    }
}
