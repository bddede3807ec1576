//! A worker of the tasks, and calls of them.

use std::sync::Arc;
use std::time::Duration;

use logistica_dominio::Almacen;
use logistica_tareas::{
    Logistica, SistemaBodega, generar_reporte, procesar_entrega, validar_inventario,
};
use serde_json::Value;
use taskq_client::{Client, Record, SendOptions, State, TaskHandle};
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::task::Registry;
use taskq_worker::{CancellationToken, Worker};
use tempfile::TempDir;

pub(crate) struct Taller {
    pub(crate) almacen: Almacen,
    cliente: Client,
    _carpeta: TempDir,
    _parar: tokio_util::sync::DropGuard,
}

impl Taller {
    /// A worker whose warehouse system is away for the share `fallo` of all attempts.
    pub(crate) fn nuevo(fallo: f64) -> Self {
        let carpeta = tempfile::tempdir().unwrap();
        let almacen = Almacen::abrir(carpeta.path().join("logistica.db")).unwrap();
        let broker = Arc::new(MemoryBroker::new());
        let parar = CancellationToken::new();
        let bodega = SistemaBodega::nuevo(fallo, Duration::ZERO);
        let defs = [
            &procesar_entrega::DEF,
            &validar_inventario::DEF,
            &generar_reporte::DEF,
        ];
        let worker = Worker::builder()
            .backend(broker.clone())
            .registry(Registry::from_defs(defs).unwrap())
            .queues(["logistica"])
            .state(Logistica::nueva(almacen.clone(), bodega))
            .stop(parar.clone())
            .build()
            .unwrap();
        tokio::spawn(worker.run());
        Self {
            almacen,
            cliente: Client::builder().over(broker),
            _carpeta: carpeta,
            _parar: parar.drop_guard(),
        }
    }

    /// How a call ended.
    pub(crate) async fn llamar(&self, tarea: &str, parametros: &Value) -> Record {
        let llamada = self.mandar(tarea, parametros).await;
        llamada.wait_record(Duration::from_secs(60)).await.unwrap()
    }

    /// What is told of a call that failed and waits to run again.
    pub(crate) async fn hasta_reintento(&self, tarea: &str, parametros: &Value) -> Record {
        let llamada = self.mandar(tarea, parametros).await;
        for _ in 0..2_000 {
            let registro = llamada.record().await.unwrap().unwrap();
            if registro.state == State::Retry {
                return registro;
            }
            assert!(!registro.state.is_final(), "{registro:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the call has not failed");
    }

    async fn mandar(&self, tarea: &str, parametros: &Value) -> TaskHandle<Value> {
        let opciones = SendOptions::default().queue("logistica");
        let llamada = self.cliente.send_by_name(tarea, (), parametros, opciones);
        llamada.await.unwrap()
    }
}
