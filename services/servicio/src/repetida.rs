//! Names that a JSON text gives twice, which a map would silently drop.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The first name that one object of `texto`, at any depth, gives twice.
///
/// Text that cannot be read (no JSON, or nested deeper than 127) has none: whoever reads it says so.
pub(crate) fn clave_repetida(texto: &str) -> Option<String> {
    let mut repetida = None;
    let mut lector = serde_json::Deserializer::from_str(texto);
    // The name is what counts; it also ends the reading.
    drop(Busca(&mut repetida).deserialize(&mut lector));
    repetida
}

struct Busca<'a>(&'a mut Option<String>);

impl<'de> DeserializeSeed<'de> for Busca<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, lector: D) -> Result<(), D::Error> {
        lector.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Busca<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elementos: A) -> Result<(), A::Error> {
        while elementos.next_element_seed(Busca(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut campos: A) -> Result<(), A::Error> {
        let mut vistas = HashSet::new();
        while let Some(clave) = campos.next_key::<String>()? {
            if vistas.contains(&clave) {
                *self.0 = Some(clave);
                return Err(A::Error::custom("a name is given twice"));
            }
            vistas.insert(clave);
            campos.next_value_seed(Busca(self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::clave_repetida;

    #[test]
    fn the_first_name_given_twice_in_one_object_is_found() {
        for (texto, clave) in [
            (r#"{"a":1,"a":2}"#, Some("a")),
            (r#"{"a":1,"\u0061":2}"#, Some("a")),
            (r#"[1,{"x":[{"b":null,"c":1.5,"b":true}]}]"#, Some("b")),
            (r#"{"a":{"a":-1},"b":[{"a":"x"},{"a":false}]}"#, None),
            ("{", None),
        ] {
            assert_eq!(clave_repetida(texto).as_deref(), clave, "{texto}");
        }
    }

    #[test]
    fn deep_nesting_ends_the_search_not_the_process() {
        let hondo = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(clave_repetida(&hondo), None);
    }
}
