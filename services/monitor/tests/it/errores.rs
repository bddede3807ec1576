//! What is refused: each answer is JSON, and names the thing and the remedy.

use programas::es_error;
use taskq_worker::testing::TestBroker;

use crate::escenario::Escenario;

#[tokio::test]
async fn each_error_is_json_and_names_the_thing_and_the_remedy() {
    let escenario = Escenario::sobre(&TestBroker::new());
    let limite = ["parameter `limite`", "1 to 1000"];
    let antes = ["parameter `antes`", "the `id` of a note"];
    let pagina = |consulta: &str| format!("GET /monitor/actividad?{consulta}");
    let largo = format!("limite={}", "9".repeat(5_000));
    for (que, estado, dice) in [
        (pagina("limite=abc"), 400, [&limite[..], &["\"abc\""]]),
        (pagina("limite=0"), 400, [&limite, &["\"0\""]]),
        (pagina("limite=1001"), 400, [&limite, &["\"1001\""]]),
        (pagina("limite=-1"), 400, [&limite, &["\"-1\""]]),
        (pagina("limite=1.5"), 400, [&limite, &["\"1.5\""]]),
        (pagina("limite="), 400, [&limite, &["\"\""]]),
        (pagina("limite"), 400, [&limite, &["\"\""]]),
        (pagina("limite=%FF%0A"), 400, [&limite, &["\\n"]]),
        (pagina(&largo), 400, [&limite, &["9…\""]]),
        (
            pagina("limite=5&limite=6"),
            400,
            [&["parameter `limite`"], &["twice"]],
        ),
        (pagina("antes=x"), 400, [&antes, &["\"x\""]]),
        (pagina("antes=-1"), 400, [&antes, &["\"-1\""]]),
        (
            pagina("limite=5&otra=1"),
            400,
            [&["parameter `otra`"], &["limite, antes"]],
        ),
        (
            "GET /monitor/nada".to_owned(),
            404,
            [&["/monitor/nada"], &["check the path"]],
        ),
        (
            "GET /monitor/status/".to_owned(),
            404,
            [&["/monitor/status/"], &["check the path"]],
        ),
        ("GET /%FF".to_owned(), 404, [&["/%FF"], &["check the path"]]),
        (
            "POST /monitor/status".to_owned(),
            405,
            [&["POST"], &["Allow"]],
        ),
        (
            "DELETE /monitor/actividad".to_owned(),
            405,
            [&["DELETE"], &["Allow"]],
        ),
    ] {
        let (recibido, cuerpo) = escenario.pedir(&que, "").await;
        es_error(&que, (recibido.as_u16(), &cuerpo), estado, &dice.concat());
    }
    for buena in [
        "limite=1000",
        "antes=0",
        "limite=1&antes=9223372036854775807",
        "",
    ] {
        escenario.leer(&format!("/monitor/actividad?{buena}")).await;
    }
}
