#pragma once

namespace callie {

/// Installs a handler for SIGINT (and SIGTERM when `with_term`) that sets a flag; a second signal within two seconds
/// ends the process with code 130.
void install_interrupt_handler(bool with_term = false);

/// True since the last clear_interrupt() if the user asked to stop. Long work checks it between steps.
bool interrupted();
void clear_interrupt();

}  // namespace callie
