//! Which web pages may call the service.

use std::str::FromStr;

use axum::http::{HeaderValue, Uri};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// An origin (`http://localhost:4200`) whose pages may call the service, or `*` for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrigenCors(Origen);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origen {
    Cualquiera,
    Uno(HeaderValue),
}

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no origin: give scheme, host and port with no path or final slash, such as http://localhost:4200, or *"
)]
pub struct OrigenInvalido(String);

impl FromStr for OrigenCors {
    type Err = OrigenInvalido;

    fn from_str(texto: &str) -> Result<Self, OrigenInvalido> {
        if texto == "*" {
            return Ok(Self(Origen::Cualquiera));
        }
        let invalido = || OrigenInvalido(texto.to_owned());
        let uri: Uri = texto.parse().map_err(|_| invalido())?;
        // Browsers send the bare origin and it is compared as text, so nothing may follow the port.
        let exacto = match (uri.scheme_str(), uri.authority()) {
            (Some(esquema @ ("http" | "https")), Some(sitio)) => format!("{esquema}://{sitio}"),
            _ => return Err(invalido()),
        };
        if exacto != texto || exacto.contains('@') {
            return Err(invalido());
        }
        HeaderValue::from_str(texto)
            .map(|valor| Self(Origen::Uno(valor)))
            .map_err(|_| invalido())
    }
}

/// The layer that answers for `origenes`; with none, browsers keep other sites' pages out.
pub(crate) fn capa(origenes: &[OrigenCors]) -> CorsLayer {
    let uno = |origen: &OrigenCors| match &origen.0 {
        Origen::Cualquiera => None,
        Origen::Uno(valor) => Some(valor.clone()),
    };
    // A list must not hold the wildcard, so one `*` stands for the whole.
    let permitidos: Option<Vec<HeaderValue>> = origenes.iter().map(uno).collect();
    let permitidos = permitidos.map_or_else(AllowOrigin::any, AllowOrigin::list);
    CorsLayer::new()
        .allow_origin(permitidos)
        .allow_methods(Any)
        .allow_headers(Any)
}

#[cfg(test)]
mod tests {
    use super::OrigenCors;

    #[test]
    fn only_bare_origins() {
        for bueno in [
            "*",
            "http://localhost:4200",
            "https://tienda.co",
            "http://[::1]:80",
        ] {
            bueno.parse::<OrigenCors>().unwrap();
        }
        let malos = [
            "",
            "localhost:4200",
            "http://x/",
            "http://x/a",
            "ftp://x",
            "http://a@x",
            "http://x?y",
        ];
        for malo in malos {
            let error = malo.parse::<OrigenCors>().unwrap_err().to_string();
            assert!(error.contains("http://localhost:4200"), "{malo}: {error}");
        }
    }
}
