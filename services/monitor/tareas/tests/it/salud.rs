//! `monitor.health_check`.

use serde_json::json;
use taskq_worker::testing::TestBroker;
use tokio::net::TcpListener;

use crate::taller::{llamar, resultado, taller};

/// Nobody listens at port 1, and one who listens never answers.
#[tokio::test]
async fn that_a_service_is_down_is_a_result() {
    let mudo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let puerto = mudo.local_addr().unwrap().port();
    let servicios = format!("nadie=http://127.0.0.1:1,mudo=http://127.0.0.1:{puerto}");
    let broker = TestBroker::builder()
        .worker(taller(&servicios))
        .build()
        .unwrap();
    let estado = resultado(&llamar(&broker, "monitor.health_check", &json!({})).await);
    let de = |nombre: &str| estado["servicios"][nombre].clone();
    assert_eq!(
        (&de("nadie")["ok"], &de("mudo")["ok"]),
        (&json!(false), &json!(false))
    );
    let error = de("nadie")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("no connection to 127.0.0.1:1"), "{error}");
    assert_eq!(de("mudo")["error"], "no answer within 2 s");
    assert_eq!(estado["broker"]["ok"], true, "{estado}");
    assert_eq!(estado["broker"]["nombre"], "memory", "{estado}");
}
