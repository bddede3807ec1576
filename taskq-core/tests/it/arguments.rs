//! Binding `args` and `kwargs` to parameters, as Python binds them.

use proptest::prelude::*;
use serde_json::Value;
use taskq_core::Message;
use taskq_core::task::{Arguments, BadSignature, Param};

const fn param(name: &'static str, kind: &'static str, required: bool) -> Param {
    Param {
        name,
        kind,
        required,
    }
}

static PARAMS: [Param; 3] = [
    param("a", "integer", true),
    param("b", "string", true),
    param("c", "integer", false),
];

fn message(arguments: &str) -> Message {
    let wire = format!(r#"{{"id":"0198c0de-0000-7000-8000-000000000000","task":"t"{arguments}}}"#);
    Message::decode(wire.as_bytes()).unwrap()
}

fn bound(arguments: &str) -> Result<(i64, String, Option<i64>), BadSignature> {
    let message = message(arguments);
    let bound = Arguments::of(&message).bind(&PARAMS)?;
    Ok((bound.get(0)?, bound.get(1)?, bound.get(2)?))
}

#[test]
fn positional_first_then_by_name() {
    let all = Ok((1, "x".to_owned(), Some(3)));
    assert_eq!(bound(r#","args":[1,"x",3]"#), all);
    assert_eq!(bound(r#","args":[1],"kwargs":{"c":3,"b":"x"}"#), all);
    assert_eq!(bound(r#","kwargs":{"c":3,"b":"x","\u0061":1}"#), all);
    assert_eq!(bound(r#","args":[1,"x"]"#), Ok((1, "x".to_owned(), None)));
    assert_eq!(
        bound(r#","args":[1,"x",null]"#),
        Ok((1, "x".to_owned(), None))
    );
}

#[test]
fn what_does_not_fit_is_named() {
    let reason = |arguments| bound(arguments).unwrap_err().0;
    insta::assert_snapshot!(reason(""), @r#"the argument `a` is missing"#);
    insta::assert_snapshot!(reason(r#","args":[1]"#), @r#"the argument `b` is missing"#);
    insta::assert_snapshot!(reason(r#","args":[1,"x",3,4]"#), @r#"4 positional arguments for 3 parameters"#);
    insta::assert_snapshot!(reason(r#","args":[1,"x"],"kwargs":{"a":2}"#), @r#"the argument `a` is given twice"#);
    insta::assert_snapshot!(reason(r#","args":[1,"x"],"kwargs":{"c":2,"c":3}"#), @r#"the argument `c` is given twice"#);
    insta::assert_snapshot!(reason(r#","args":[1,"x"],"kwargs":{"d":2}"#), @r#"unknown argument `d`"#);
    insta::assert_snapshot!(reason(r#","args":[1.5,"x"]"#), @r#"the argument `a` (integer): invalid type: floating point `1.5`, expected i64 at line 1 column 3"#);
    insta::assert_snapshot!(reason(r#","args":[18446744073709551616,"x"]"#), @r#"the argument `a` (integer): invalid type: floating point `1.8446744073709552e+19`, expected i64 at line 1 column 20"#);
    insta::assert_snapshot!(reason(r#","args":[null,"x"]"#), @r#"the argument `a` (integer): invalid type: null, expected i64 at line 1 column 4"#);
}

#[test]
fn integers_arrive_exactly() {
    let message =
        message(r#","args":[9007199254740993,18446744073709551615,-9223372036854775808]"#);
    let bound = Arguments::of(&message).bind(&PARAMS).unwrap();
    assert_eq!(bound.get::<u64>(0).unwrap(), 9_007_199_254_740_993);
    assert_eq!(bound.get::<u64>(1).unwrap(), u64::MAX);
    assert_eq!(bound.get::<i64>(2).unwrap(), i64::MIN);
}

#[test]
fn deep_nesting_is_refused_by_the_typed_argument() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let message = message(&format!(r#","args":[{deep}]"#));
    let bound = Arguments::of(&message).bind(&PARAMS).unwrap();
    let reason = bound.get::<Value>(0).unwrap_err().0;
    assert!(reason.contains("recursion limit"), "{reason}");
    assert!(reason.starts_with("the argument `a` (integer)"), "{reason}");
}

#[test]
fn a_reason_never_carries_the_whole_argument() {
    let long = "x".repeat(500_000);
    for arguments in [
        format!(r#","args":["{long}","x"]"#),
        format!(r#","args":[1,"x"],"kwargs":{{"{long}":1}}"#),
    ] {
        let reason = bound(&arguments).unwrap_err().0;
        assert!(reason.len() <= 1 << 10, "{} bytes", reason.len());
    }
}

proptest! {
    #[test]
    fn any_split_between_place_and_name_binds_the_same(a: i64, b: String, c: Option<i64>, by_place in 0..=3_usize) {
        let json = [
            ("a", serde_json::to_string(&a).unwrap()),
            ("b", serde_json::to_string(&b).unwrap()),
            ("c", serde_json::to_string(&c).unwrap()),
        ];
        let args: Vec<_> = json[..by_place].iter().map(|(_, value)| value.clone()).collect();
        let kwargs: Vec<_> = json[by_place..].iter().rev().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let given = format!(r#","args":[{}],"kwargs":{{{}}}"#, args.join(","), kwargs.join(","));
        prop_assert_eq!(bound(&given), Ok((a, b, c)));
    }
}
