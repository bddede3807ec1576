//! `GET /monitor/workers`.

use std::time::Duration;

use serde_json::json;
use taskq_worker::testing::TestBroker;
use taskq_worker::{CancellationToken, Signature, Worker, task};

use crate::escenario::{Escenario, tarjeta};

const LARGO: Duration = Duration::from_secs(60);

#[task(name = "prueba.falla")]
async fn falla() -> Result<(), taskq_worker::TaskError> {
    Err(taskq_worker::TaskError::permanent("no hay manera"))
}

#[tokio::test]
async fn without_workers_there_are_none() {
    let cuerpo = Escenario::sobre(&TestBroker::new())
        .leer("/monitor/workers")
        .await;
    assert_eq!(cuerpo, json!({"workers": []}));
}

#[tokio::test]
async fn of_a_worker_that_does_not_answer_its_registration_is_told() {
    let broker = TestBroker::new();
    for node in ["w2@prueba", "w1@prueba"] {
        broker
            .backend()
            .register(&tarjeta(node), &[], LARGO)
            .await
            .unwrap();
    }
    let cuerpo = Escenario::sobre(&broker).leer("/monitor/workers").await;
    let esperado = |node: &str| {
        json!({
            "node": node, "host": "prueba", "pid": 7, "queues": ["celery", "monitor"], "slots": 3,
            "running": 2, "processed": 40, "failed": null, "since": "2026-11-18T11:06:40.000Z",
            "last_beat": "2026-11-18T11:07:40.000Z", "answers": false, "stopping": false
        })
    };
    let esperados = [esperado("w1@prueba"), esperado("w2@prueba")];
    assert_eq!(cuerpo, json!({"workers": esperados}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_answers_tells_how_many_calls_have_failed() {
    let broker = TestBroker::new();
    let parar = CancellationToken::new();
    let worker = Worker::builder()
        .backend(broker.backend())
        .node("w1@prueba")
        .concurrency(4)
        .stop(parar.clone())
        .build()
        .unwrap();
    let corre = tokio::spawn(worker.run());
    let llamada = Signature::<()>::by_name("prueba.falla");
    let llamada = broker.client().send(llamada).await.unwrap();
    // It fails: that is the point.
    drop(llamada.wait(LARGO).await);

    let escenario = Escenario::sobre(&broker);
    let cuerpo = escenario.leer("/monitor/workers").await;
    let visto = &cuerpo["workers"][0];
    let cuenta = ["node", "slots", "processed", "failed", "answers"].map(|c| visto[c].clone());
    assert_eq!(
        cuenta,
        [
            json!("w1@prueba"),
            json!(4),
            json!(1),
            json!(1),
            json!(true)
        ],
        "{cuerpo}"
    );
    parar.cancel();
    corre.await.unwrap().unwrap();
}
