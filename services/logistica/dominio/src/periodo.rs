//! The days a report covers.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::campos::recortar;
use crate::error::PeriodoInvalido;
use crate::fecha;

/// A report covers at most this many days.
pub const DIAS_MAX: i32 = 366;

/// A stretch of days, both ends included; `desde` is not after `hasta`, and they are at most
/// [`DIAS_MAX`] days.
///
/// ```
/// use logistica_dominio::Periodo;
///
/// let hoy = "2026-11-22".parse()?;
/// let noviembre = Periodo::nuevo(Some("2026-11-01"), None, hoy)?;
/// assert_eq!(noviembre.hasta(), hoy);
/// let error = Periodo::nuevo(Some("1 de noviembre"), None, hoy).unwrap_err();
/// assert_eq!(error.campo, "desde");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periodo {
    desde: Option<Date>,
    hasta: Date,
}

impl Periodo {
    /// Reads the two ends as `YYYY-MM-DD`. Without `hasta` it ends today, `hoy`, in UTC; without
    /// `desde` it begins as [`desde`](Self::desde) says.
    ///
    /// # Errors
    /// The field that is no day, or `desde` if it is after `hasta` or too long before it.
    pub fn nuevo(
        desde: Option<&str>,
        hasta: Option<&str>,
        hoy: Date,
    ) -> Result<Self, PeriodoInvalido> {
        let desde = desde.map(|texto| dia("desde", texto)).transpose()?;
        let dada = hasta.map(|texto| dia("hasta", texto)).transpose()?;
        let hasta = dada.unwrap_or(hoy);
        if let Some(desde) = desde {
            let campo = "desde";
            if desde > hasta {
                let cual = if dada.is_some() { "" } else { ", today" };
                let motivo =
                    format!("{desde} is after `hasta` ({hasta}{cual}); send a day that is not");
                return Err(PeriodoInvalido { campo, motivo });
            }
            let dias = contar(desde, hasta);
            if dias > DIAS_MAX {
                let motivo = format!(
                    "{desde} to {hasta} are {dias} days; ask for at most {DIAS_MAX} at a time"
                );
                return Err(PeriodoInvalido { campo, motivo });
            }
        }
        Ok(Self { desde, hasta })
    }

    /// The first day. If none was given, `primero`, the day of the first booking, or the earliest
    /// that leaves [`DIAS_MAX`] days if that is later.
    #[must_use]
    pub fn desde(&self, primero: Option<Date>) -> Date {
        self.desde.unwrap_or_else(|| {
            let limite = self.hasta.saturating_sub((DIAS_MAX - 1).days());
            primero.unwrap_or(self.hasta).max(limite).min(self.hasta)
        })
    }

    /// The last day.
    #[must_use]
    pub fn hasta(&self) -> Date {
        self.hasta
    }
}

/// How many days there are from one to another, both included.
fn contar(desde: Date, hasta: Date) -> i32 {
    (hasta - desde).get_days() + 1
}

fn dia(campo: &'static str, texto: &str) -> Result<Date, PeriodoInvalido> {
    fecha::leer(texto).ok_or_else(|| PeriodoInvalido {
        campo,
        motivo: format!(
            "\"{}\" is no day of the calendar; send YYYY-MM-DD",
            recortar(texto)
        ),
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::Periodo;

    #[test]
    fn without_a_first_day_it_begins_with_the_first_booking_but_stays_within_the_bound() {
        let hoy = date(2026, 11, 22);
        let todo = Periodo::nuevo(None, None, hoy).unwrap();
        for (primero, desde) in [
            (None, hoy),
            (Some(date(2026, 11, 1)), date(2026, 11, 1)),
            (Some(date(2027, 1, 1)), hoy),
            (Some(date(2020, 1, 1)), date(2025, 11, 22)),
        ] {
            assert_eq!(todo.desde(primero), desde, "{primero:?}");
        }
        let dado = Periodo::nuevo(Some("2026-11-20"), None, hoy).unwrap();
        assert_eq!(dado.desde(Some(date(2026, 11, 1))), date(2026, 11, 20));
    }

    #[test]
    fn what_can_not_be_covered_is_refused_by_the_name_of_its_field() {
        let hoy = date(2026, 11, 22);
        for (desde, hasta, campo, parte) in [
            (Some("22-11-2026"), None, "desde", "YYYY-MM-DD"),
            (None, Some("2026-02-29"), "hasta", "\"2026-02-29\""),
            (Some("2026-11-23"), None, "desde", "today"),
            (Some("2026-11-03"), Some("2026-11-02"), "desde", "after"),
            (
                Some("2025-11-21"),
                Some("2026-11-22"),
                "desde",
                "are 367 days",
            ),
        ] {
            let error = Periodo::nuevo(desde, hasta, hoy).unwrap_err();
            let texto = error.to_string();
            assert_eq!(error.campo, campo, "{texto}");
            assert!(texto.contains(&format!("field `{campo}`")), "{texto}");
            assert!(texto.contains(parte), "{texto}");
        }
        assert!(Periodo::nuevo(Some("2025-11-22"), None, hoy).is_ok());
        assert!(Periodo::nuevo(Some("2026-11-22"), Some("2026-11-22"), hoy).is_ok());
    }
}
