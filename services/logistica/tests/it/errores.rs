//! What is refused: each answer is JSON, and names the thing and the remedy.

use programas::es_error;
use serde_json::json;

use crate::escenario::Escenario;

#[tokio::test]
async fn each_error_is_json_and_names_the_thing_and_the_remedy() {
    let escenario = Escenario::publicado().await;
    let enorme = "x".repeat(servicio::CUERPO_MAX + 1);
    let forma = "send {\"tarea\": …, \"parametros\": {…}}";
    let tipo = "Content-Type: application/json";
    for (que, cuerpo, estado, dice) in [
        ("GET /tareas/7", "", 400, ["\"7\"", "an id is a UUID"]),
        ("GET /tareas/%FF", "", 400, ["/tareas/%FF", "as UTF-8"]),
        (
            "GET /inventario/%FF",
            "",
            400,
            ["/inventario/%FF", "as UTF-8"],
        ),
        (
            "GET /inventario/PROD999",
            "",
            404,
            ["PROD999", "such as PROD001"],
        ),
        ("GET /tarea", "", 404, ["/tarea", "check the path"]),
        ("GET /tareas/", "", 404, ["/tareas/", "check the path"]),
        ("PUT /tareas", "", 405, ["PUT", "Allow"]),
        ("POST /inventario/PROD001", "", 405, ["POST", "Allow"]),
        ("POST /tareas", "{", 400, ["no JSON", "line 1"]),
        ("POST /tareas", "[]", 422, ["no JSON object", forma]),
        ("POST /tareas", "{\"tarea\":5}", 422, ["integer `5`", forma]),
        (
            "POST /tareas",
            "{\"tarea\":\"x\",\"tarea\":\"y\"}",
            400,
            ["`tarea`", "once"],
        ),
        ("POST /tareas text/plain", "{}", 415, [tipo, "send"]),
        ("POST /tareas", &enorme, 413, ["1048576", "send less"]),
    ] {
        let (recibido, respuesta) = escenario.pedir(que, cuerpo).await;
        es_error(que, (recibido.as_u16(), &respuesta), estado, &dice);
    }
    assert_eq!(escenario.en_cola().await, 0);
}

#[tokio::test]
async fn who_misspells_a_task_is_told_the_nearest() {
    let escenario = Escenario::publicado().await;
    let remedio = "GET /tareas";
    for (tarea, dice) in [
        (
            "logistica.procesar_entregas",
            "did you mean logistica.procesar_entrega?",
        ),
        (
            "Logistica.validar_inventario",
            "did you mean logistica.validar_inventario?",
        ),
        ("generar_reporte", "start a worker that offers it"),
        ("facturas.emitir", "start a worker that offers it"),
        (
            &"logistica.".repeat(50_000),
            "start a worker that offers it",
        ),
    ] {
        let pedido = json!({ "tarea": tarea, "parametros": {} }).to_string();
        let (estado, cuerpo) = escenario.post(&pedido).await;
        let nombre: String = tarea.chars().take(40).collect();
        es_error(
            &nombre,
            (estado.as_u16(), &cuerpo),
            503,
            &[&nombre, dice, remedio],
        );
        let texto = cuerpo["error"].as_str().unwrap();
        assert_eq!(
            texto.contains("did you mean"),
            dice.contains("did you mean"),
            "{texto}"
        );
    }
    assert_eq!(escenario.en_cola().await, 0);
}
