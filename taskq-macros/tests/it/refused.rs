//! Every refusal is a sentence at the place in the user's code; the `.stderr` files hold it.

#[test]
fn refusals_say_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
