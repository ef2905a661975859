//! The program of the tests: what takes longer than tests may, or wants to be looked at.

mod program;

use std::process::ExitCode;

use clap::Parser;

/// What the tests can do beside being run.
#[derive(Debug, Parser)]
#[command(name = "comity-tests")]
enum Program {
    /// Runs whole networks of servers under made-up trouble and checks every promise.
    Simulate(Box<program::simulate::Simulate>),
    /// Plays the same scenarios with a Comity node and with a Synapse, and prints what each took.
    Bench(program::bench::Bench),
    /// Prints the checklist of the specification, with the tests that prove each item.
    Coverage,
}

fn main() -> ExitCode {
    match Program::parse() {
        Program::Simulate(simulate) => simulate.run(),
        Program::Bench(bench) => bench.run(),
        Program::Coverage => program::coverage::run(),
    }
}
