//! Generates the protobuf code and the version string, and nothing else.
//!
//! - `proto/idnode/v1/*.proto` becomes `idnode.v1.rs` (messages, clients, servers), which `src/wire/proto.rs` includes,
//!   and `idnode.v1.bin`, the descriptor set that gRPC reflection serves. protox compiles it: no protoc is needed.
//!   `idnode.v1.shapes.rs` says how much memory the fields of each message take, and which message each method is sent.
//! - `IDNODE_VERSION` is the package's version; a release build made from a git checkout adds the commit. A
//!   development build does not, so that a commit rebuilds nothing. Without git it is the bare version, no failure.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{FieldDescriptorProto, FileDescriptorProto};

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
    fs::write(target.join("idnode.v1.shapes.rs"), shapes(&compiler)?)?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// The tables of `src/wire/message_size.rs`: a `Method` for each method, by path, and a `MessageShape` for each message
/// that clients send.
fn shapes(compiler: &protox::Compiler) -> Result<String, Box<dyn Error>> {
    let set = compiler.file_descriptor_set();
    let files: Vec<&FileDescriptorProto> = set.file.iter().collect();
    let (methods, mut sent) = methods(&files);
    let mut text = format!("static METHODS: &[Method] = &[{}];", methods.concat());
    let messages = || files.iter().flat_map(|file| &file.message_type);
    let mut written = BTreeSet::new();
    while let Some(name) = sent.pop() {
        if !written.insert(name.clone()) {
            continue;
        }
        let Some(message) = messages().find(|message| message.name() == name) else { continue };
        let fields: String = message.field.iter().map(field_shape).collect();
        let shape = shape_name(&name);
        writeln!(
            text,
            "static {shape}: MessageShape = \
             MessageShape {{ struct_bytes: size_of::<proto::{name}>(), fields: &[{fields}] }};",
        )?;
        let inner = message.field.iter().filter(|field| field.r#type() == Type::Message);
        sent.extend(inner.map(|field| last_name(field.type_name()).to_owned()));
    }
    Ok(text)
}

/// The methods of all services in the order of their paths, and the messages that they are sent.
fn methods(files: &[&FileDescriptorProto]) -> (Vec<String>, Vec<String>) {
    let mut methods = Vec::new();
    let mut sent = Vec::new();
    for file in files {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let request = shape_name(last_name(method.input_type()));
                let (client, server) = (method.client_streaming(), method.server_streaming());
                methods.push(format!(
                    "Method {{ path: {path:?}, request: &{request}, \
                     has_request_stream: {client}, has_answer_stream: {server} }},"
                ));
                sent.push(last_name(method.input_type()).to_owned());
            }
        }
    }
    methods.sort();
    (methods, sent)
}

fn last_name(qualified: &str) -> &str {
    qualified.rsplit('.').next().unwrap_or(qualified)
}

/// The constant of a message's shape.
fn shape_name(message: &str) -> String {
    let mut shape = String::from("SHAPE");
    for letter in message.chars() {
        if letter.is_uppercase() {
            shape.push('_');
        }
        shape.push(letter.to_ascii_uppercase());
    }
    shape
}

fn field_shape(field: &FieldDescriptorProto) -> String {
    let kind = match field.r#type() {
        Type::Message => format!("FieldKind::Message(&{})", shape_name(last_name(field.type_name()))),
        Type::String | Type::Bytes => "FieldKind::Octets".to_owned(),
        _ => "FieldKind::Number".to_owned(),
    };
    let is_repeated = field.label() == Label::Repeated;
    format!("FieldShape {{ number: {}, kind: {kind}, is_repeated: {is_repeated} }},", field.number())
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
