//! How the shim gets into a Pod: the names and paths that the patch uses, and by which it is known again.

/// The name of the volume that holds the shim, and of the init container that puts it there.
pub const NAME: &str = "fermata-shim";

/// Where the volume is mounted in each container.
pub const FOLDER: &str = "/fermata";

/// The shim in each container that has it.
pub const PROGRAM: &str = "/fermata/fermata-shim";

/// The shim in its own image.
pub const PROGRAM_IN_IMAGE: &str = "/fermata-shim";

/// Room in the volume. The binary takes a third of it at most; unused room costs nothing.
pub const VOLUME_SIZE: &str = "4Mi";

/// The user of the init container where the Pod would make it root (`USER` of the image).
pub const USER: i64 = 65532;

/// Whether a program is the shim, wherever it lies.
pub(crate) fn is_program(program: &str) -> bool {
    program.rsplit('/').next() == Some(NAME)
}
