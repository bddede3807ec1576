//! The parameters of a query string, `?limite=10&antes=7`.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use crate::error_http::{ErrorHttp, citar};

/// Extracts the parameters of the query string; what they mean is asked of it one by one.
///
/// ```
/// use axum::{Router, routing::get};
/// use servicio::{Consulta, ErrorHttp};
///
/// async fn listar(consulta: Consulta) -> Result<String, ErrorHttp> {
///     consulta.solo(&["limite"])?;
///     let limite = consulta.numero("limite", "1 to 50", |n| (1..=50).contains(n))?;
///     Ok(format!("{} at most", limite.unwrap_or(10_u32)))
/// }
/// let rutas: Router = Router::new().route("/lista", get(listar));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consulta(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Consulta {
    type Rejection = ErrorHttp;

    async fn from_request_parts(partes: &mut Parts, estado: &S) -> Result<Self, ErrorHttp> {
        let leida = Query::from_request_parts(partes, estado).await;
        let Query(parametros) = leida.map_err(|rechazo| {
            ErrorHttp::peticion_invalida(format!(
                "the query string can not be read ({rechazo}): send name=value, with & between"
            ))
        })?;
        Ok(Self(parametros))
    }
}

impl Consulta {
    /// Only these are there, and each once.
    ///
    /// # Errors
    /// 400, with the name of the first that is not.
    pub fn solo(&self, nombres: &[&str]) -> Result<(), ErrorHttp> {
        let mut vistos: Vec<&str> = Vec::new();
        for (nombre, _) in &self.0 {
            if !nombres.contains(&nombre.as_str()) {
                let motivo = format!("unknown: remove it, or send one of {}", nombres.join(", "));
                return Err(malo(nombre, &motivo));
            }
            if vistos.contains(&nombre.as_str()) {
                return Err(malo(nombre, "given twice: send it once"));
            }
            vistos.push(nombre);
        }
        Ok(())
    }

    /// A whole number that `vale` takes, such as `permitido` says; `None`: the parameter is not there.
    ///
    /// # Errors
    /// 400, with its name, its value and `permitido`.
    pub fn numero<N: FromStr>(
        &self,
        nombre: &str,
        permitido: &str,
        vale: impl Fn(&N) -> bool,
    ) -> Result<Option<N>, ErrorHttp> {
        let Some((_, texto)) = self.0.iter().find(|(n, _)| n == nombre) else {
            return Ok(None);
        };
        match texto.parse().ok().filter(vale) {
            Some(numero) => Ok(Some(numero)),
            None => Err(malo(
                nombre,
                &format!("is \"{}\": send a whole number, {permitido}", citar(texto)),
            )),
        }
    }
}

fn malo(nombre: &str, motivo: &str) -> ErrorHttp {
    ErrorHttp::peticion_invalida(format!("parameter `{}`: {motivo}", citar(nombre)))
}
