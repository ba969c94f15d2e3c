//! Makes a new migration count: the macro that embeds them does not see new directories.

fn main() {
    let migrations = "migrations";
    println!("cargo::rerun-if-changed={migrations}");
}
