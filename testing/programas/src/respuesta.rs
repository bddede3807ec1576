//! What is asked, and what an error must look like.

use serde_json::Value;

/// Method, path and type of the body of `GET /health` or `POST /tareas text/plain`.
pub(crate) fn partes(que: &str) -> (&str, &str, &str) {
    let mut palabras = que.split(' ');
    let metodo = palabras.next().expect("a method");
    let ruta = palabras.next().expect("a path");
    (metodo, ruta, palabras.next().unwrap_or("application/json"))
}

/// The answer to `que` is this error, `{"error": "…"}`, and its sentence holds each of `dice`.
///
/// # Panics
/// When it is another.
pub fn es_error(que: &str, respuesta: (u16, &Value), estado: u16, dice: &[&str]) {
    let (recibido, cuerpo) = respuesta;
    assert_eq!(recibido, estado, "{que}: {cuerpo}");
    let texto = cuerpo["error"].as_str().unwrap_or_default();
    let solo = cuerpo.as_object().map(serde_json::Map::len);
    assert!(
        !texto.is_empty() && solo == Some(1),
        "{que}: no error of a service: {cuerpo}"
    );
    for parte in dice {
        assert!(
            texto.contains(parte),
            "{que}: {parte:?} is not said: {texto}"
        );
    }
}
