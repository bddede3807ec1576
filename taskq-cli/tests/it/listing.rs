//! `taskq list`.

use insta::assert_snapshot;
use taskq_core::fleet::{PublishedParam, PublishedTask};

use crate::stage::Stage;

fn task(name: &str, queue: &str, doc: &str, params: &[(&str, &str, bool)]) -> PublishedTask {
    let params = params.iter().map(|(name, kind, required)| PublishedParam {
        name: (*name).into(),
        kind: (*kind).into(),
        required: *required,
    });
    PublishedTask {
        name: name.into(),
        doc: doc.into(),
        params: params.collect(),
        queue: queue.parse().unwrap(),
        max_retries: 3,
        ignore_result: false,
        seen: 0,
        live: false,
    }
}

#[tokio::test]
async fn tasks_are_listed_with_what_they_take_and_whether_a_worker_offers_them() {
    let stage = Stage::new();
    let long = "Checks the stock of one product or of all, and tells what does not add up.\nOver several lines.";
    let check = [("sku", "string", false)];
    stage
        .publish(&[task("stock.check", "geo", long, &check)], false)
        .await;
    let add = [("a", "integer", true), ("b", "integer", true)];
    stage
        .publish(&[task("math.add", "celery", "", &add)], true)
        .await;
    assert_snapshot!(stage.run(&["list"]).await, @r#"
    exit 0
    --- stdout
    TASK         QUEUE   PARAMETERS              LIVE  DESCRIPTION
    math.add     celery  a: integer, b: integer  yes
    stock.check  geo     sku?: string            no    Checks the stock of one product or of all, and tells what does not add up.
    --- stderr
    "#);
    assert_snapshot!(stage.run(&["list", "--json"]).await, @r#"
    exit 0
    --- stdout
    [{"name":"math.add","queue":"celery","params":[{"name":"a","type":"integer","required":true},{"name":"b","type":"integer","required":true}],"live":true,"max_retries":3,"ignore_result":false,"doc":""},{"name":"stock.check","queue":"geo","params":[{"name":"sku","type":"string","required":false}],"live":false,"max_retries":3,"ignore_result":false,"doc":"Checks the stock of one product or of all, and tells what does not add up.\nOver several lines."}]
    --- stderr
    "#);
}

#[tokio::test]
async fn nothing_published_is_an_empty_list() {
    let stage = Stage::new();
    assert_snapshot!(stage.run(&["-b", "memory://", "list"]).await, @r#"
    exit 0
    --- stdout
    --- stderr
    taskq: no worker has published a task at memory://
    "#);
    assert_snapshot!(stage.run(&["-b", "memory://", "list", "--json"]).await, @r#"
    exit 0
    --- stdout
    []
    --- stderr
    taskq: no worker has published a task at memory://
    "#);
}
