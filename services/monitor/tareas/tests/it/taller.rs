//! A worker of the tasks, and calls of them.

use monitor_dominio::Bitacora;
use monitor_tareas::{Monitor, generate_metrics, health_check, log_activity};
use serde_json::Value;
use taskq_worker::task::Registry;
use taskq_worker::testing::TestBroker;
use taskq_worker::{Builder, Record, Signature, State};

/// A worker with a file of its own, which asks `servicios`.
pub(crate) fn taller(servicios: &str) -> impl FnOnce(Builder) -> Builder + use<> {
    let servicios = servicios.parse().unwrap();
    move |worker| {
        let carpeta = tempfile::tempdir().unwrap();
        let bitacora = Bitacora::abrir(carpeta.path().join("monitor.db")).unwrap();
        let defs = [
            &health_check::DEF,
            &log_activity::DEF,
            &generate_metrics::DEF,
        ];
        worker
            .registry(Registry::from_defs(defs).unwrap())
            .queues(["monitor"])
            .state(Monitor::nuevo(bitacora.clone(), servicios))
            .state(bitacora)
            // Dropped with the worker, which is when the file goes.
            .state(carpeta)
    }
}

/// A call as other programs send it: by name.
pub(crate) fn llamada(tarea: &str, parametros: &Value) -> Signature<Value> {
    Signature::by_name(tarea)
        .kwargs(parametros)
        .queue("monitor")
}

/// How a call ended.
pub(crate) async fn llamar(broker: &TestBroker, tarea: &str, parametros: &Value) -> Record {
    let call = llamada(tarea, parametros);
    let id = broker.client().send(call).await.unwrap().id();
    broker.drain_all().await;
    broker.record(id).await.unwrap()
}

pub(crate) fn resultado(registro: &Record) -> Value {
    assert_eq!(registro.state, State::Success, "{:?}", registro.error);
    serde_json::from_str(registro.result.as_ref().unwrap().get()).unwrap()
}

/// It failed for good at its first attempt, with an error of this type.
pub(crate) fn fallo_definitivo(registro: &Record, tipo: &str) {
    let error = registro.error.as_ref().unwrap();
    assert_eq!(
        (registro.state, registro.attempts),
        (State::Failure, 1),
        "{error:?}"
    );
    assert!(error.kind.ends_with(tipo), "{error:?}");
}

/// The worker's file.
pub(crate) fn bitacora(broker: &TestBroker) -> Bitacora {
    (*broker.state::<Bitacora>().unwrap()).clone()
}
