//! The inventory built into the library: which products exist and which warehouses stock them.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::lugar::Lugar;

/// One product in one warehouse, as a new stock file starts with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Linea {
    pub(crate) sku: String,
    pub(crate) producto: String,
    pub(crate) bodega: Lugar,
    pub(crate) existencias: u32,
    pub(crate) minimo: u32,
}

static LINEAS: LazyLock<Vec<Linea>> = LazyLock::new(|| {
    include_str!("../data/inventario.jsonl")
        .lines()
        .map(|linea| serde_json::from_str(linea).expect("inventario.jsonl is checked by a test"))
        .collect()
});

/// All lines, in the order of the file.
pub(crate) fn lineas() -> &'static [Linea] {
    &LINEAS
}

/// The lines of one product; none if it is unknown.
pub(crate) fn de_sku(sku: &str) -> impl Iterator<Item = &'static Linea> {
    LINEAS.iter().filter(move |linea| linea.sku == sku)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{de_sku, lineas};

    #[test]
    fn the_embedded_inventory_parses_and_has_one_line_per_product_and_warehouse() {
        let pares: HashSet<_> = lineas()
            .iter()
            .map(|l| (l.sku.as_str(), l.bodega.geonameid()))
            .collect();
        assert_eq!((lineas().len(), pares.len()), (120, 120));
        assert_eq!(de_sku("PROD001").count(), 6);
        assert_eq!(de_sku("PROD999").count(), 0);
    }
}
