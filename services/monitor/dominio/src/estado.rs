//! How the services and the broker are.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::pregunta::{PLAZO, pedir};
use crate::servicios::Servicios;

/// How the services and the broker are, at this moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estado {
    /// The services, by name.
    pub servicios: BTreeMap<String, EstadoServicio>,
    /// The broker.
    pub broker: EstadoCorredor,
}

/// How one service is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EstadoServicio {
    /// Whether it answered as it should, in time.
    pub ok: bool,
    /// How long that took, in ms.
    pub ms: f64,
    /// What is wrong.
    pub error: Option<String>,
}

/// How the broker is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EstadoCorredor {
    /// Whether it answered in time.
    pub ok: bool,
    /// How long that took, in ms.
    pub ms: f64,
    /// What is wrong.
    pub error: Option<String>,
    /// What it is, such as `redis`.
    pub nombre: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Settings under which it does not keep its promises.
    pub avisos: Vec<String>,
}

/// What the broker says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Corredor {
    /// What it is, such as `redis`.
    pub nombre: String,
    /// Its version.
    pub version: String,
    /// Settings under which it does not keep its promises.
    pub avisos: Vec<String>,
    /// How long it took to answer, where it was measured nearer to it than here.
    pub ida_y_vuelta: Option<Duration>,
}

impl Estado {
    /// Asks all services and, with `corredor`, the broker, at the same time. Each has [`PLAZO`].
    pub async fn preguntar(
        servicios: &Servicios,
        corredor: impl Future<Output = Result<Corredor, String>>,
    ) -> Self {
        Self::en(PLAZO, servicios, corredor).await
    }

    async fn en(
        plazo: Duration,
        servicios: &Servicios,
        corredor: impl Future<Output = Result<Corredor, String>>,
    ) -> Self {
        let preguntas = servicios.todos().iter().map(|servicio| async move {
            let (resultado, ms) = medir(plazo, pedir(servicio)).await;
            let estado = EstadoServicio {
                ok: resultado.is_ok(),
                ms: en_ms(ms),
                error: resultado.err(),
            };
            (servicio.nombre.clone(), estado)
        });
        let (servicios, (corredor, tardo)) =
            tokio::join!(join_all(preguntas), medir(plazo, corredor));
        Self {
            servicios: servicios.into_iter().collect(),
            broker: EstadoCorredor::nuevo(corredor, tardo),
        }
    }
}

impl EstadoCorredor {
    fn nuevo(respuesta: Result<Corredor, String>, tardo: Duration) -> Self {
        match respuesta {
            Ok(corredor) => Self {
                ok: true,
                ms: en_ms(corredor.ida_y_vuelta.unwrap_or(tardo)),
                error: None,
                nombre: Some(corredor.nombre),
                version: Some(corredor.version),
                avisos: corredor.avisos,
            },
            Err(error) => Self {
                ok: false,
                ms: en_ms(tardo),
                error: Some(error),
                nombre: None,
                version: None,
                avisos: Vec::new(),
            },
        }
    }
}

/// What `pregunta` came to within `plazo`, and how long that took.
async fn medir<T>(
    plazo: Duration,
    pregunta: impl Future<Output = Result<T, String>>,
) -> (Result<T, String>, Duration) {
    let inicio = Instant::now();
    let resultado = timeout(plazo, pregunta)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", plazo.as_secs_f32())));
    (resultado, inicio.elapsed())
}

/// To one decimal place.
fn en_ms(duracion: Duration) -> f64 {
    (duracion.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::{Corredor, Estado};

    #[tokio::test]
    async fn a_broker_that_hangs_is_told_in_time_and_one_that_answers_says_what_it_is() {
        let plazo = Duration::from_millis(20);
        let nadie = "".parse().unwrap();
        let mudo = Estado::en(plazo, &nadie, pending()).await.broker;
        assert_eq!(mudo.error.as_deref(), Some("no answer within 0.02 s"));
        assert!(!mudo.ok && mudo.ms >= 20.0, "{mudo:?}");

        let sabe = async {
            Ok(Corredor {
                nombre: "redis".into(),
                version: "7.0.15".into(),
                avisos: vec!["x".into()],
                ida_y_vuelta: Some(Duration::from_micros(1_234)),
            })
        };
        let vivo = Estado::en(plazo, &nadie, sabe).await.broker;
        let json = serde_json::to_string(&vivo).unwrap();
        let esperado = r#"{"ok":true,"ms":1.2,"error":null,"nombre":"redis","version":"7.0.15","avisos":["x"]}"#;
        assert_eq!(json, esperado);
    }
}
