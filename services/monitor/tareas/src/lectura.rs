//! Reading the events from where the run before left off, as far as they reach and no further than the bounds.

use std::time::{Duration, Instant};

use monitor_dominio::Instante;
use taskq_core::broker::Inspect;
use taskq_core::event::{EventPosition, Fact};
use taskq_core::{Error, ErrorKind, clock};
use tokio::time::timeout;

use crate::por_tarea::{Contador, Tareas};

/// So many events are read at most; a page more may come with the last ones.
const EVENTOS_MAX: u64 = 200_000;

/// For so long they are read at most.
const LECTURA_MAX: Duration = Duration::from_secs(10);

/// How long the broker has for one answer.
pub(crate) const RESPUESTA_MAX: Duration = Duration::from_secs(5);

/// What was read, and where the next run goes on.
#[derive(Debug)]
pub(crate) struct Lectura {
    pub(crate) tareas: Tareas,
    pub(crate) posicion: EventPosition,
}

/// Reads on from `antes`: a position, and up to which time events were read by then.
pub(crate) async fn leer(
    corredor: &dyn Inspect,
    antes: Option<(EventPosition, Instante)>,
    sigue: impl Fn() -> bool,
) -> Result<Lectura, Error> {
    leer_hasta(corredor, antes, sigue, EVENTOS_MAX).await
}

async fn leer_hasta(
    corredor: &dyn Inspect,
    antes: Option<(EventPosition, Instante)>,
    sigue: impl Fn() -> bool,
    eventos_max: u64,
) -> Result<Lectura, Error> {
    let (mut posicion, desde) = match antes {
        Some((posicion, desde)) => (posicion, Some(desde)),
        None => (EventPosition::oldest(), None),
    };
    let inicio = Instant::now();
    let (mut contador, mut eventos, mut perdidos) = (Contador::default(), 0, false);
    let (mut primero, mut ultimo) = (None, desde);
    let completo = loop {
        let ahora = Instante(clock::now_ms());
        let pagina = en_plazo(corredor.events(&posicion, Duration::ZERO)).await?;
        perdidos |= pagina.missed;
        let parada = pagina.events.is_empty() && pagina.next == posicion;
        posicion = pagina.next;
        for evento in &pagina.events {
            let at = Instante(evento.at);
            primero = Some(primero.map_or(at, |p: Instante| p.min(at)));
            ultimo = Some(ultimo.map_or(at, |u: Instante| u.max(at)));
            if let Fact::Task(hecho) = &evento.fact {
                eventos += 1;
                contador.contar(hecho);
            }
        }
        if parada {
            // What was told before this look has been read.
            ultimo = Some(ultimo.map_or(ahora, |u| u.max(ahora)));
            break true;
        }
        if eventos >= eventos_max || inicio.elapsed() >= LECTURA_MAX || !sigue() {
            break false;
        }
    };
    let tareas = Tareas {
        desde: desde.or(primero),
        hasta: ultimo.unwrap_or(Instante(clock::now_ms())),
        perdidos,
        completo,
        eventos,
        por_tarea: contador.por_tarea,
        otras: contador.otras,
    };
    Ok(Lectura { tareas, posicion })
}

/// What the broker answers, or that it has not within [`RESPUESTA_MAX`].
pub(crate) async fn en_plazo<T>(
    pregunta: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(RESPUESTA_MAX, pregunta).await.unwrap_or_else(|_| {
        let text = format!(
            "the broker has not answered within {} s",
            RESPUESTA_MAX.as_secs()
        );
        Err(Error::new(ErrorKind::Unreachable, text))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use taskq_core::broker::memory::MemoryBroker;
    use taskq_core::event::EventPosition;
    use taskq_core::{Signature, dispatch::Dispatcher};

    use super::leer_hasta;

    #[tokio::test]
    async fn what_the_bound_leaves_is_read_by_the_next_run() {
        let broker = std::sync::Arc::new(MemoryBroker::new());
        let llamadas = |n| (0..n).map(|_| Signature::<()>::by_name("t")).collect();
        let manda = Dispatcher::new(broker.clone(), Duration::from_secs(5));
        for envio in manda.send_many::<()>(llamadas(3_000)).await {
            envio.unwrap();
        }
        let (mut antes, mut contados, mut corridas) = (None, 0, 0);
        loop {
            let lectura = leer_hasta(&*broker, antes, || true, 1).await.unwrap();
            contados += lectura.tareas.eventos;
            assert!(!lectura.tareas.perdidos);
            if lectura.tareas.completo {
                break;
            }
            corridas += 1;
            antes = Some((lectura.posicion, lectura.tareas.hasta));
        }
        assert_eq!(contados, 3_000);
        assert!(corridas >= 1);
    }

    #[tokio::test]
    async fn without_events_the_span_has_no_beginning() {
        let broker = MemoryBroker::new();
        let antes = Some(EventPosition::oldest()).filter(|_| false);
        let antes = antes.map(|p| (p, monitor_dominio::Instante(0)));
        let lectura = leer_hasta(&broker, antes, || true, 9).await.unwrap();
        assert_eq!((lectura.tareas.desde, lectura.tareas.eventos), (None, 0));
        assert!(lectura.tareas.completo);
    }
}
