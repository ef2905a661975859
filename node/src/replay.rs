//! `comity replay`: a recorded run once more.

use std::{
    fs::File,
    io::{self, BufReader, Write},
    path::PathBuf,
};

use clap::Args;
use comity_sync::recording::{
    Trace,
    replay::{Step, replay},
};

use crate::{cli::CommandResult, config::Config, signing_key};

/// See `comity replay --help`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// The log
    log: PathBuf,
    /// The recorded server's configuration, which tells its signing key: the log holds none
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print every input and action, not only where they differ
    #[arg(long)]
    trace: bool,
    /// Tell of so many inputs that come out differently; those after the first often follow from it
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    differences: usize,
}

/// Prints what differs and how much was replayed.
///
/// # Errors
/// When the log cannot be replayed, or something differs.
pub fn run(arguments: &ReplayArguments) -> CommandResult {
    let config = Config::load(&arguments.config)?;
    let key = signing_key::read(&config.federation.signing_key)?;
    let log = File::open(&arguments.log)
        .map_err(|error| format!("{}: {error}", arguments.log.display()))?;
    let mut out = io::stdout().lock();
    let (mut inputs, mut actions, mut differences) = (0_u64, 0, 0);
    let mut printed = Ok(());
    replay(BufReader::new(log), key, |step| {
        inputs += 1;
        actions += step.replayed.len();
        let differs = step.difference();
        differences += usize::from(differs.is_some());
        if arguments.trace || differs.is_some() {
            printed = print(&mut out, step, differs);
        }
        printed.is_ok() && differences < arguments.differences.max(1)
    })?;
    printed?;
    writeln!(
        out,
        "{inputs} inputs, {actions} actions, {differences} differences"
    )?;
    match differences {
        0 => Ok(()),
        _ => Err("the log came out differently".into()),
    }
}

fn print(out: &mut impl Write, step: &Step, differs: Option<usize>) -> io::Result<()> {
    let seconds = step.now.monotonic.0.as_secs_f64();
    writeln!(out, "line {} {seconds:.6} s  {}", step.line, step.input)?;
    let Some(place) = differs else {
        return step
            .replayed
            .iter()
            .try_for_each(|action| writeln!(out, "    {}", action.words));
    };
    let words = |action: Option<&Trace>| match action {
        Some(action) => action.words.clone(),
        None => "nothing more".to_owned(),
    };
    writeln!(out, "  action {} differs", place + 1)?;
    writeln!(out, "    recorded  {}", words(step.recorded.get(place)))?;
    writeln!(out, "    replayed  {}", words(step.replayed.get(place)))
}
