# Who the tests call as. All of them share these.

persona "dev" {
  groups = ["team"]
}

persona "lead" {
  groups = ["team", "leads"]
  mfa    = true
}

persona "lead with a password only" {
  groups = ["team", "leads"]
}

persona "freelancer" {
  guest = true
}

persona "stranger" {}
