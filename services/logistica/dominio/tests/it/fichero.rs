//! A stock file that goes away, or is replaced, under those who have it open.

use std::fs;

use logistica_dominio::{Almacen, AlmacenError, Causa};

use crate::datos::{HOY, entrega, nuevo};

#[test]
fn nothing_is_booked_in_a_file_that_is_gone() {
    let (carpeta, almacen) = nuevo();
    almacen.reservar(&entrega("A", 1), HOY).unwrap();
    let apartada = carpeta.path().with_extension("apartada");
    fs::rename(carpeta.path(), &apartada).unwrap();

    let error = almacen.reservar(&entrega("B", 1), HOY).unwrap_err();
    assert!(
        matches!(&error, AlmacenError::Archivo(e) if matches!(e.causa, Causa::Desaparecido)),
        "{error}"
    );
    assert!(error.is_transient());
    let texto = error.to_string();
    assert!(texto.contains(almacen.ruta().to_str().unwrap()), "{texto}");
    assert!(almacen.inventario("PROD001").is_err());
    // Nothing was made anew, which would be in the way of the old one.
    assert!(!carpeta.path().exists());

    fs::rename(&apartada, carpeta.path()).unwrap();
    almacen.reservar(&entrega("B", 1), HOY).unwrap();
    let informe = almacen.validar(None).unwrap();
    assert_eq!((informe.reservas, informe.hallazgos.len()), (2, 0));
}

#[test]
fn after_a_file_was_replaced_all_book_in_the_new_one() {
    let (carpeta, almacen) = nuevo();
    almacen.reservar(&entrega("A", 1), HOY).unwrap();
    fs::remove_dir_all(carpeta.path()).unwrap();
    // Somebody else makes it anew, has it open, and books.
    let otra = Almacen::abrir(almacen.ruta()).unwrap();
    otra.reservar(&entrega("B", 1), HOY).unwrap();

    // The one that was open is let go, and leaves the log of the new one alone.
    almacen.reservar(&entrega("C", 1), HOY).unwrap();
    otra.reservar(&entrega("D", 1), HOY).unwrap();
    for quien in [&almacen, &otra, &Almacen::abrir(almacen.ruta()).unwrap()] {
        let informe = quien.validar(None).unwrap();
        assert_eq!((informe.reservas, informe.unidades_reservadas), (3, 3));
        assert!(informe.hallazgos.is_empty());
    }
    // What was booked in the old one is unknown to the new one, and is booked there once it is sent again.
    almacen.reservar(&entrega("A", 1), HOY).unwrap();
    assert_eq!(otra.validar(None).unwrap().reservas, 4);
}
