//! The tasks of the service `plantilla`.

use taskq_core::{TaskError, task};

/// Saluda a alguien.
#[task(name = "plantilla.saludar", queue = "plantilla")]
pub async fn saludar(nombre: String) -> Result<String, TaskError> {
    if nombre.trim().is_empty() {
        // What another attempt can not mend.
        return Err(TaskError::permanent("nobody to greet: give a nombre"));
    }
    Ok(format!("Hola, {nombre}"))
}

#[cfg(test)]
mod tests {
    use taskq_worker::testing::TestBroker;

    use super::saludar;

    #[taskq_worker::test]
    async fn who_has_a_name_is_greeted(broker: TestBroker) {
        let hola = broker.run(saludar::call("Ana".to_owned())).await;
        assert_eq!(hola.value(), "Hola, Ana");
    }
}
