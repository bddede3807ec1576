//! Checking arguments against the signature that workers published.

use serde_json::{Map, Value};
use servicio::ErrorHttp;
use taskq_client::{PublishedParam, PublishedTask};

/// How much of an unknown field's name an answer repeats, in characters.
const CLAVE_MAX: usize = 40;

/// Refuses arguments that the task cannot take: unknown, missing or of another JSON type.
///
/// A published type that is no JSON type (`any`, or a Rust type) takes anything here.
pub(crate) fn comprobar(tarea: &PublishedTask, parametros: &Value) -> Result<(), ErrorHttp> {
    let Value::Object(dados) = parametros else {
        return Err(campo_malo(
            "parametros",
            &format!("is {}: send an object", tipo_de(parametros)),
        ));
    };
    sin_desconocidos(tarea, dados)?;
    for parametro in &tarea.params {
        let nombre = &parametro.name;
        match dados.get(nombre) {
            None if parametro.required => return Err(campo_malo(nombre, "missing: add it")),
            None => {}
            Some(Value::Null) if !parametro.required => {}
            Some(valor) if es(valor, &parametro.kind) => {}
            Some(valor) => {
                let motivo = format!("is {}: send one of type {}", tipo_de(valor), parametro.kind);
                return Err(campo_malo(nombre, &motivo));
            }
        }
    }
    Ok(())
}

fn sin_desconocidos(tarea: &PublishedTask, dados: &Map<String, Value>) -> Result<(), ErrorHttp> {
    let conocido = |clave: &String| tarea.params.iter().any(|p| p.name == *clave);
    let Some(clave) = dados.keys().find(|clave| !conocido(clave)) else {
        return Ok(());
    };
    let clave: String = clave.chars().take(CLAVE_MAX).collect();
    let nombres: Vec<&str> = tarea.params.iter().map(nombre).collect();
    let motivo = if nombres.is_empty() {
        format!("unknown: remove it, {} takes none", tarea.name)
    } else {
        format!(
            "unknown: remove it, {} takes {}",
            tarea.name,
            nombres.join(", ")
        )
    };
    Err(campo_malo(&clave, &motivo))
}

fn nombre(parametro: &PublishedParam) -> &str {
    &parametro.name
}

fn campo_malo(campo: &str, motivo: &str) -> ErrorHttp {
    ErrorHttp::peticion_invalida(format!("field `{}`: {motivo}", campo.escape_debug()))
}

fn es(valor: &Value, tipo: &str) -> bool {
    match tipo {
        "string" => valor.is_string(),
        "integer" => valor.is_i64() || valor.is_u64(),
        "number" => valor.is_number(),
        "boolean" => valor.is_boolean(),
        "array" => valor.is_array(),
        "object" => valor.is_object(),
        _ => true,
    }
}

fn tipo_de(valor: &Value) -> &'static str {
    match valor {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
