//! `GET /monitor/actividad`.

use monitor_dominio::Nota;
use serde_json::json;
use taskq_worker::testing::TestBroker;

use crate::escenario::Escenario;

#[tokio::test]
async fn what_was_noted_is_told_newest_first_and_page_by_page() {
    let escenario = Escenario::sobre(&TestBroker::new());
    for (n, evento) in ["uno", "dos", "tres"].into_iter().enumerate() {
        let nota = Nota::nueva(evento, (n == 0).then(|| json!({"n": 1}))).unwrap();
        let cuando = 1_795_000_000_000 + n as u64;
        escenario
            .bitacora
            .anotar(&format!("t{n}"), "w1@prueba", cuando, &nota)
            .unwrap();
    }
    let cuerpo = escenario.leer("/monitor/actividad?limite=2").await;
    let eventos = |cuerpo: &serde_json::Value| -> Vec<String> {
        let actividad = cuerpo["actividad"].as_array().unwrap().iter();
        actividad
            .map(|a| a["evento"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(eventos(&cuerpo), ["tres", "dos"]);
    let ultima = cuerpo["actividad"][1]["id"].as_i64().unwrap();
    let cuerpo = escenario
        .leer(&format!("/monitor/actividad?antes={ultima}"))
        .await;
    let esperada = json!({"actividad": [{
        "id": 1, "cuando": "2026-11-18T11:06:40.000Z", "evento": "uno", "detalle": {"n": 1},
        "task_id": "t0", "worker": "w1@prueba"
    }]});
    assert_eq!(cuerpo, esperada);
    assert_eq!(
        eventos(&escenario.leer("/monitor/actividad").await).len(),
        3
    );
}
