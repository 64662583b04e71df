"""Nothing to import: this project only locks ansible-core, whose commands lie in the environment's `bin` folder."""
