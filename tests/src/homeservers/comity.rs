//! Comity as a peer. This file alone knows its command line and its configuration keys.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{
    env,
    fs::{self, File},
};

use super::authority::{Authority, Identity};
use super::client::{Client, Door};
use super::failure::Failure;
use super::homeserver::{Homeserver, Ports};
use super::process::{Process, free_port, make_directory, output_of};

/// Set if it is to join rooms without their members first.
const JOIN_IN_PART: &str = "COMITY_INTEROP_JOIN_IN_PART";

/// The metric that counts them.
const COMMITS: &str = r#"comity_store_work_total{kind="transaction"}"#;

/// A `comity serve` in a directory of its own.
pub struct Comity {
    label: String,
    server_name: String,
    door: Door,
    program: PathBuf,
    configuration: PathBuf,
    process: Process,
    metrics: Door,
}

impl Comity {
    /// Builds the program and lets it write its configuration below `parent`; it does not run yet.
    pub fn prepare(
        label: &str,
        ports: Ports,
        parent: &Path,
        authority: &Authority,
    ) -> Result<Self, Failure> {
        let program = built_program()?;
        let directory = make_directory(parent, label)?;
        let identity = authority.identity(&directory)?;
        let (federation_port, client_port) = (ports.listening, free_port()?);
        let server_name = format!("localhost:{}", ports.named);
        output_of(
            Command::new(&program)
                .args(["init", "--server-name", &server_name])
                .arg("--dir")
                .arg(&directory)
                .arg("--tls-certificate")
                .arg(&identity.certificate)
                .arg("--tls-private-key")
                .arg(&identity.private_key)
                .arg("--trusted-ca")
                .arg(authority.certificate_path())
                .args([
                    "--federation-listen",
                    &format!("127.0.0.1:{federation_port}"),
                ])
                .args(["--client-listen", &format!("127.0.0.1:{client_port}")]),
        )?;
        let configuration = directory.join("comity.toml");
        let metrics_port = free_port()?;
        configure(&configuration, &identity, metrics_port)?;
        Ok(Self {
            label: label.to_owned(),
            server_name,
            door: Door::new(
                format!("https://127.0.0.1:{client_port}"),
                authority.roots(),
            ),
            program,
            configuration,
            process: Process::new(directory.join("output.log")),
            metrics: Door::new(
                format!("http://127.0.0.1:{metrics_port}"),
                authority.roots(),
            ),
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .arg("--config")
            .arg(&self.configuration);
        command
    }
}

impl Homeserver for Comity {
    fn label(&self) -> &str {
        &self.label
    }

    fn server_name(&self) -> &str {
        &self.server_name
    }

    fn door(&self) -> &Door {
        &self.door
    }

    fn process(&self) -> &Process {
        &self.process
    }

    fn commits(&self) -> Result<Option<f64>, Failure> {
        let metrics = self.metrics.page("/metrics")?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(COMMITS));
        Ok(value.and_then(|value| value.trim().parse().ok()))
    }

    fn launch(&self) -> Result<(), Failure> {
        let mut command = self.command(&["serve"]);
        if let Some(runtime) = env::var_os("COMITY_INTEROP_RUNTIME") {
            command.arg("--runtime").arg(runtime);
        }
        self.process.start(command)
    }

    fn go_down(&self) -> Result<(), Failure> {
        self.process.kill();
        Ok(())
    }

    fn register(&self, localpart: &str) -> Result<Client, Failure> {
        let token = output_of(&mut self.command(&["user", "add", localpart]))?;
        self.door.client(token.trim().to_owned())
    }

    fn sign_up(&self, localpart: &str, password: &str) -> Result<(), Failure> {
        output_of(&mut self.command(&["user", "add", localpart]))?;
        let file = self.configuration.with_file_name("password");
        let doing = || Failure::while_doing("writing a password down");
        fs::write(&file, password).map_err(doing())?;
        let password = File::open(&file).map_err(doing())?;
        let mut setting = self.command(&["user", "password", localpart]);
        output_of(setting.stdin(password)).map(drop)
    }
}

/// Clients are served with TLS, too, and metrics are told.
fn configure(file: &Path, identity: &Identity, metrics_port: u16) -> Result<(), Failure> {
    let doing = || Failure::while_doing("configuring Comity");
    let mut text = fs::read_to_string(file).map_err(doing())?;
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    for (line, instead) in [
        (
            "# certificate = \"client.pem\"",
            format!("certificate = {}", quoted(&identity.certificate)),
        ),
        (
            "# private_key = \"client.key\"",
            format!("private_key = {}", quoted(&identity.private_key)),
        ),
        (
            "# [observe]",
            format!("[observe]\nlisten = \"127.0.0.1:{metrics_port}\""),
        ),
    ] {
        text = text.replace(line, &instead);
    }
    if env::var_os(JOIN_IN_PART).is_some() {
        text = text.replace("join_in_part = false", "join_in_part = true");
    }
    fs::write(file, text).map_err(doing())
}

/// Builds the `comity` program as this test was built, and says where it is. Cargo tells only the
/// tests of the program's own package, so it is asked; `COMITY_PROGRAM` names another program.
fn built_program() -> Result<PathBuf, Failure> {
    if let Some(program) = env::var_os("COMITY_PROGRAM") {
        return Ok(program.into());
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile = if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    };
    let mut command = Command::new(cargo);
    // What cargo tells a program of its package would make another cargo build anew what asks for it.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let messages = output_of(
        command
            .args(["build", "--package", "comity", "--bin", "comity"])
            .args(["--profile", profile])
            .args(["--message-format", "json"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")),
    )?;
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    let found = messages.lines().filter_map(executable).next_back();
    found.ok_or_else(|| Failure::Wrong("cargo built comity but named no executable".to_owned()))
}
