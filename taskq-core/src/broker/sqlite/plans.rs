//! Every statement of this broker is a look-up or a range of keys: none goes through a whole table, and none sorts.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, StatementStatus};

use super::place::{QueueId, waiting};
use super::schema::MIGRATIONS;

/// The statements in the broker's sources, each with its file.
fn statements() -> Vec<(String, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/broker/sqlite")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = |path: &PathBuf| path.file_stem().is_some_and(|n| n == "tests");
            if is_test(&path)
                || path.ends_with("counted.rs")
                || path.ends_with("fences.rs")
                || path.ends_with("harm.rs")
                || path.ends_with("plans.rs")
                || path.ends_with("testing.rs")
            {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod").next().unwrap();
                let all = literals(code).into_iter();
                let sql: Vec<String> = all.filter(|text| is_statement(text)).collect();
                let there = VERBS.map(|verb| code.matches(&format!("\"{verb}")).count());
                assert_eq!(sql.len(), there.iter().sum::<usize>(), "{name}");
                found.extend(sql.into_iter().map(|sql| (name.clone(), sql)));
            }
        }
    }
    found
}

const VERBS: [&str; 4] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "];

fn is_statement(text: &str) -> bool {
    VERBS.iter().any(|verb| text.starts_with(verb))
}

/// The texts between quotes, lines that go on joined.
fn literals(code: &str) -> Vec<String> {
    let lines = code.lines().map(str::trim_start);
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with("//")).collect();
    let code = lines.join("\n").replace("\\\n", "");
    let mut texts = Vec::new();
    let mut chars = code.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                let mut text = String::new();
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    text.push(c);
                    text.extend((c == '\\').then(|| chars.next()).flatten());
                }
                texts.push(text);
            }
            // A quote as a character opens nothing.
            '\'' if chars.as_str().starts_with("\"'") => chars = chars.as_str()[2..].chars(),
            _ => {}
        }
    }
    texts
}

fn of_this_version() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    for sql in MIGRATIONS {
        connection.execute_batch(sql).unwrap();
    }
    connection
}

/// What SQLite says of how it goes about a statement.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap_or_else(|e| panic!("{e}: {sql}"));
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        lines.push(row.get(3).unwrap());
    }
    lines
}

#[test]
fn every_statement_goes_by_its_keys() {
    let connection = of_this_version();
    let statements = statements();
    assert!(statements.len() > 40, "only {} found", statements.len());
    let mut wrong = Vec::new();
    for (file, sql) in statements {
        let plan = plan(&connection, &sql);
        let slow = |line: &&String| {
            let scan = line.strip_prefix("SCAN ");
            // The last has a row for each table whose numbers are given once.
            let harmless = [
                "CONSTANT ROW",
                "sqlite_schema",
                "sqlite_master",
                "sqlite_sequence",
            ];
            scan.is_some_and(|what| !harmless.contains(&what)) || line.contains("TEMP B-TREE")
        };
        if let Some(line) = plan.iter().find(slow) {
            wrong.push(format!("{file}: {line}: {sql}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How many steps of its program a statement takes.
fn steps(connection: &Connection, sql: &str) -> i32 {
    let places = waiting(QueueId(1));
    let keys = [*places.start(), *places.end(), 5];
    let due = [1, i64::MAX, 5];
    let mut statement = connection.prepare(sql).unwrap();
    for at in 0..statement.parameter_count() {
        let from = if sql.contains("BETWEEN") { keys } else { due };
        statement.raw_bind_parameter(at + 1, from[at]).unwrap();
    }
    let mut rows = statement.raw_query();
    while rows.next().unwrap().is_some() {}
    drop(rows);
    statement.get_status(StatementStatus::VmStep)
}

#[test]
fn what_waits_costs_no_claim_more() {
    let connection = of_this_version();
    let middle = super::place::Lane::of(QueueId(1), 0).middle();
    let mut costs = Vec::new();
    for more in [10, 5_000] {
        let fill =
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1) ";
        let all = [more, middle + more];
        let ready = "INSERT INTO ready SELECT ?2 + i, 0, 0, x'00' FROM n";
        let sql = format!("{fill}{ready}");
        connection.execute(&sql, all).unwrap();
        let delayed = "INSERT INTO delayed SELECT ?2 + i, 1, i, 0, 0, x'00' FROM n";
        let sql = format!("{fill}{delayed}");
        connection.execute(&sql, all).unwrap();
        let reads = |(file, sql): &(String, String)| {
            let hot = ["moves.rs", "look.rs", "take.rs"].contains(&&**file);
            let large = sql.contains("FROM ready") || sql.contains("FROM delayed");
            hot && large && sql.starts_with("SELECT")
        };
        let all = statements().into_iter().filter(reads);
        let costs_now: Vec<(i32, String)> = all
            .map(|(_, sql)| (steps(&connection, &sql), sql))
            .collect();
        assert!(costs_now.len() >= 6, "{costs_now:?}");
        costs.push(costs_now);
    }
    assert_eq!(costs[0], costs[1]);
}
