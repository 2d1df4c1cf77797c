//! Generates the protobuf code and the version string, and nothing else.
//!
//! - `proto/idnode/v1/*.proto` becomes `idnode.v1.rs` (messages, clients, servers), which `src/wire/proto.rs` includes,
//!   and `idnode.v1.bin`, the descriptor set that gRPC reflection serves. protox compiles it: no protoc is needed.
//! - `IDNODE_VERSION` is the package's version; a release build made from a git checkout adds the commit. A
//!   development build does not, so that a commit rebuilds nothing. Without git it is the bare version, no failure.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const PROTO_ROOT: &str = "proto";
const PROTO_PACKAGE: &str = "proto/idnode/v1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={PROTO_ROOT}");
    generate_protobuf(Path::new(&env::var("OUT_DIR")?))?;
    println!("cargo:rustc-env=IDNODE_VERSION={}", version()?);
    Ok(())
}

fn generate_protobuf(target: &Path) -> Result<(), Box<dyn Error>> {
    let mut sources: Vec<PathBuf> = fs::read_dir(PROTO_PACKAGE)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    sources.sort();
    let mut compiler = protox::Compiler::new([PROTO_ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(sources)?;
    fs::write(target.join("idnode.v1.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn version() -> Result<String, env::VarError> {
    let package = env::var("CARGO_PKG_VERSION")?;
    if env::var("PROFILE")? != "release" {
        return Ok(package);
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    Ok(match git(&["describe", "--always", "--dirty", "--tags"]) {
        Some(commit) => format!("{package} ({commit})"),
        None => package,
    })
}

/// What git prints, when there is a git that succeeds and prints something.
fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
