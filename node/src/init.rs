//! `comity init`: everything a new server needs, in one directory.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use ruma_common::{OwnedServerName, ServerName};

use crate::{
    certificates,
    cli::{CommandResult, InitArguments},
    config::{Template, TlsPaths},
    new_file::{self, Readable},
    signing_key,
};

/// The name of the configuration file.
pub const CONFIG_FILE: &str = "comity.toml";
const SIGNING_KEY_FILE: &str = "signing.key";
const CERTIFICATE_FILE: &str = "certificate.pem";
const PRIVATE_KEY_FILE: &str = "private_key.pem";

/// Where other servers look for a server whose name gives no port.
const FEDERATION_PORT: u16 = 8448;

/// Writes the files, the configuration last, so that where there is one there is all it names.
///
/// # Errors
/// When the server name is none, or a file is there already or cannot be written.
pub fn run(arguments: &InitArguments) -> CommandResult {
    let server_name = ServerName::parse(&arguments.server_name)
        .map_err(|error| format!("{:?} is no server name: {error}", arguments.server_name))?;
    let directory = &arguments.dir;
    refuse_existing(directory)?;
    fs::create_dir_all(directory)?;
    let signing_key = signing_key::generate()?;
    new_file::write(
        &directory.join(SIGNING_KEY_FILE),
        &signing_key,
        Readable::ByOwner,
    )?;
    if arguments.self_signed {
        write_self_signed(directory, &server_name)?;
    }
    let config = directory.join(CONFIG_FILE);
    new_file::write(
        &config,
        &template(arguments, server_name)?.to_string(),
        Readable::ByAll,
    )?;
    say_what_next(arguments, &config);
    Ok(())
}

fn refuse_existing(directory: &Path) -> io::Result<()> {
    let files = [
        CONFIG_FILE,
        SIGNING_KEY_FILE,
        CERTIFICATE_FILE,
        PRIVATE_KEY_FILE,
    ];
    match files
        .map(|file| directory.join(file))
        .iter()
        .find(|path| path.exists())
    {
        None => Ok(()),
        Some(path) => {
            let reason = format!("{} is there already; nothing was written", path.display());
            Err(io::Error::new(io::ErrorKind::AlreadyExists, reason))
        }
    }
}

fn write_self_signed(directory: &Path, server_name: &ServerName) -> CommandResult {
    let made = certificates::self_signed(server_name)?;
    let certificate = directory.join(CERTIFICATE_FILE);
    new_file::write(&certificate, &made.certificate, Readable::ByAll)?;
    let private_key = directory.join(PRIVATE_KEY_FILE);
    new_file::write(&private_key, &made.private_key, Readable::ByOwner)?;
    Ok(())
}

fn template(arguments: &InitArguments, server_name: OwnedServerName) -> io::Result<Template> {
    let port = server_name.port().unwrap_or(FEDERATION_PORT);
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let given = |path: &Option<PathBuf>, otherwise: &str| match path {
        Some(path) => std::path::absolute(path),
        None => Ok(PathBuf::from(otherwise)),
    };
    Ok(Template {
        server_name,
        federation_listen: arguments.federation_listen.unwrap_or(everywhere),
        client_listen: arguments.client_listen,
        tls: TlsPaths {
            certificate: given(&arguments.certificate, CERTIFICATE_FILE)?,
            private_key: given(&arguments.private_key, PRIVATE_KEY_FILE)?,
        },
        extra_ca: arguments
            .ca
            .iter()
            .map(std::path::absolute)
            .collect::<Result<_, _>>()?,
    })
}

fn say_what_next(arguments: &InitArguments, config: &Path) {
    let config = config.display();
    println!("wrote {config}");
    if !arguments.self_signed && arguments.certificate.is_none() {
        println!(
            "put the certificate of {} beside it as {CERTIFICATE_FILE},",
            arguments.server_name
        );
        println!("and its key as {PRIVATE_KEY_FILE}");
    }
    println!("then: comity serve --config {config}");
    println!("      comity user add NAME --config {config}");
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Config;

    fn arguments(dir: &Path) -> InitArguments {
        InitArguments {
            server_name: "localhost:18448".into(),
            dir: dir.to_owned(),
            self_signed: true,
            certificate: None,
            private_key: None,
            ca: vec!["/etc/ca.pem".into()],
            federation_listen: None,
            client_listen: "127.0.0.1:18008".parse().unwrap(),
        }
    }

    #[test]
    fn a_new_directory_holds_a_configuration_that_can_be_loaded() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("new");
        run(&arguments(&directory)).unwrap();
        let config = Config::load(&directory.join(CONFIG_FILE)).unwrap();
        assert_eq!(config.server_name, "localhost:18448");
        assert_eq!(config.federation.listen, ["0.0.0.0:18448".parse().unwrap()]);
        assert_eq!(config.federation.extra_ca, [Path::new("/etc/ca.pem")]);
        assert!(config.federation.tls.unwrap().certificate.exists());
        signing_key::read(&config.federation.signing_key).unwrap();
    }

    #[test]
    fn secrets_are_readable_by_their_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        run(&arguments(directory.path())).unwrap();
        for file in [SIGNING_KEY_FILE, PRIVATE_KEY_FILE] {
            let metadata = fs::metadata(directory.path().join(file)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn nothing_that_is_there_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(SIGNING_KEY_FILE), "precious").unwrap();
        assert!(run(&arguments(directory.path())).is_err());
        let kept = fs::read_to_string(directory.path().join(SIGNING_KEY_FILE)).unwrap();
        assert_eq!(kept, "precious");
        assert!(!directory.path().join(CONFIG_FILE).exists());
    }
}
