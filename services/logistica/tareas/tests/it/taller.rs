//! A worker of the tasks, and calls of them.

use std::time::Duration;

use logistica_dominio::{Almacen, Informe};
use logistica_tareas::{
    Logistica, SistemaBodega, generar_reporte, procesar_entrega, validar_inventario,
};
use serde_json::Value;
use taskq_worker::task::Registry;
use taskq_worker::testing::{Ran, TestBroker};
use taskq_worker::{Builder, Record, Signature};

/// A worker with a stock file of its own, whose warehouse system is away for the share `fallo` of all attempts and else takes
/// a minute to answer.
pub(crate) fn taller(fallo: f64) -> impl FnOnce(Builder) -> Builder {
    move |worker| {
        let carpeta = tempfile::tempdir().unwrap();
        let almacen = Almacen::abrir(carpeta.path().join("logistica.db")).unwrap();
        let bodega = SistemaBodega::nuevo(fallo, Duration::from_secs(60));
        let defs = [
            &procesar_entrega::DEF,
            &validar_inventario::DEF,
            &generar_reporte::DEF,
        ];
        worker
            .registry(Registry::from_defs(defs).unwrap())
            .queues(["logistica"])
            .state(Logistica::nueva(almacen.clone(), bodega))
            .state(almacen)
            // Dropped with the worker, which is when the file goes.
            .state(carpeta)
    }
}

/// A call as other programs send it: by name.
pub(crate) fn llamada(tarea: &str, parametros: &Value) -> Signature<Value> {
    Signature::by_name(tarea)
        .kwargs(parametros)
        .queue("logistica")
}

/// The one attempt of a call.
pub(crate) async fn intentar(broker: &TestBroker, tarea: &str, parametros: &Value) -> Ran<Value> {
    broker.run(llamada(tarea, parametros)).await
}

/// How a call ended.
pub(crate) async fn llamar(broker: &TestBroker, tarea: &str, parametros: &Value) -> Record {
    let call = llamada(tarea, parametros);
    let id = broker.client().send(call).await.unwrap().id();
    broker.drain_all().await;
    broker.record(id).await.unwrap()
}

/// What the stock says of itself.
pub(crate) fn informe(broker: &TestBroker) -> Informe {
    broker.state::<Almacen>().unwrap().validar(None).unwrap()
}
