//! The whole: both services and a worker as programs, around one broker.

use std::time::{Duration, Instant};

use programas::{Conexion, PACIENCIA, esperar};
use serde_json::{Value, json};
use taskq_client::{Client, SendOptions};

use crate::procesos::Planta;

/// Sends a task of the monitor by its name and waits for its result.
async fn llamar(planta: &Planta, tarea: &str, parametros: Value) -> Value {
    let cliente = Client::connect(&planta.corredor).await.unwrap();
    let opciones = SendOptions::default().queue("monitor");
    let llamada = cliente.send_by_name(tarea, (), parametros, opciones).await;
    llamada.unwrap().wait(PACIENCIA).await.unwrap()
}

fn leer(planta: &Planta, ruta: &str) -> Value {
    let (estado, cuerpo) = Conexion::nueva(&planta.monitor).get(ruta);
    assert_eq!(estado, 200, "{cuerpo}");
    cuerpo
}

#[tokio::test]
async fn over_redis_it_tells_what_is_there_and_what_is_gone() {
    let mut planta = Planta::sobre_redis();
    camino(&mut planta, "redis").await;
    assert!(planta.matar_corredor());
    let inicio = Instant::now();
    let estado = leer(&planta, "/monitor/status");
    assert_eq!(estado["broker"]["ok"], false, "{estado}");
    let (codigo, cuerpo) = Conexion::nueva(&planta.monitor).get("/monitor/queue");
    assert_eq!(codigo, 503, "{cuerpo}");
    assert!(
        inicio.elapsed() < Duration::from_secs(60),
        "{:?}",
        inicio.elapsed()
    );
}

#[tokio::test]
async fn over_one_file_it_tells_what_is_there_and_what_is_gone() {
    camino(&mut Planta::sobre_un_archivo(), "sqlite").await;
}

async fn camino(planta: &mut Planta, corredor: &str) {
    assert_eq!(
        leer(planta, "/health"),
        json!({"service": "monitor", "status": "ok"})
    );
    // No worker yet.
    assert_eq!(leer(planta, "/monitor/workers"), json!({"workers": []}));
    let _worker = planta.worker("w1@prueba");
    let visto = esperar("the worker is told, and answers", || {
        let workers = leer(planta, "/monitor/workers");
        (workers["workers"][0]["answers"] == true).then(|| workers["workers"][0].clone())
    });
    assert_eq!(visto["node"], "w1@prueba");
    assert_eq!(visto["queues"], json!(["celery", "logistica", "monitor"]));
    assert_eq!((&visto["slots"], &visto["failed"]), (&json!(4), &json!(0)));
    let [since, last_beat] = ["since", "last_beat"].map(|c| visto[c].as_str().unwrap());
    assert!(since > "2026" && last_beat >= since, "{visto}");

    salud(planta, corredor).await;
    actividad(planta).await;
    metricas(planta).await;

    planta.matar_logistica();
    let estado = en_estado(planta, |estado| estado["broker"]["ok"] == true);
    assert_eq!(estado["servicios"]["logistica"]["ok"], false, "{estado}");
}

/// Asks until it is so: each that it asks has 2 s, which a busy machine may not have.
fn en_estado(planta: &Planta, es: impl Fn(&Value) -> bool) -> Value {
    esperar("the status is as it should be", || {
        Some(leer(planta, "/monitor/status")).filter(&es)
    })
}

/// The service and the task say the same.
async fn salud(planta: &Planta, corredor: &str) {
    let ok = |estado: &Value| estado["servicios"]["logistica"]["ok"] == true;
    let servicio = en_estado(planta, |estado| {
        ok(estado) && estado["broker"]["ok"] == true
    });
    let tarea = llamar(planta, "monitor.health_check", json!({})).await;
    for estado in [servicio, tarea] {
        assert_eq!(estado["servicios"]["logistica"]["ok"], true, "{estado}");
        assert_eq!(estado["broker"]["ok"], true, "{estado}");
        assert_eq!(estado["broker"]["nombre"], corredor, "{estado}");
        assert!(estado["broker"]["ms"].is_number(), "{estado}");
    }
}

/// What a worker noted is told by the service: they share the file.
async fn actividad(planta: &Planta) {
    let detalle = json!({"pedido": "ENT-000001"});
    let parametros = json!({"evento": "entrega revisada", "detalle": detalle});
    let anotada = llamar(planta, "monitor.log_activity", parametros).await;
    let dicha = leer(planta, "/monitor/actividad");
    let dicha = &dicha["actividad"][0];
    assert_eq!(
        (&dicha["id"], &dicha["cuando"]),
        (&anotada["id"], &anotada["cuando"])
    );
    assert_eq!(
        (&dicha["evento"], &dicha["detalle"], &dicha["worker"]),
        (&json!("entrega revisada"), &detalle, &json!("w1@prueba"))
    );
}

async fn metricas(planta: &Planta) {
    let primera = llamar(planta, "monitor.generate_metrics", json!({})).await;
    let cola = &primera["colas"]["monitor"];
    assert_eq!(
        (&cola["desde"], &cola["diferencia"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(cola["totales"]["succeeded"], 2, "{primera}");
    let notas = &primera["tareas"]["por_tarea"]["monitor.log_activity"];
    assert_eq!(
        (&notas["sent"], &notas["succeeded"]),
        (&json!(1), &json!(1))
    );

    let parametros = json!({"evento": "una más"});
    llamar(planta, "monitor.log_activity", parametros).await;
    let segunda = llamar(planta, "monitor.generate_metrics", json!({})).await;
    let cola = &segunda["colas"]["monitor"];
    assert_eq!(
        (&cola["desde"], &cola["reinicio"]),
        (&primera["hasta"], &json!(false))
    );
    // Between the samples: the end of the first run, the note, and the sending of the second run.
    let diferencia = ["sent", "succeeded", "failed"].map(|c| cola["diferencia"][c].clone());
    assert_eq!(diferencia, [json!(2), json!(2), json!(0)], "{segunda}");
    let tareas = &segunda["tareas"];
    assert_eq!(
        (&tareas["perdidos"], &tareas["completo"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(tareas["desde"], primera["tareas"]["hasta"], "{segunda}");
    let notas = &tareas["por_tarea"]["monitor.log_activity"];
    assert_eq!(
        (&notas["sent"], &notas["succeeded"]),
        (&json!(1), &json!(1))
    );
}
