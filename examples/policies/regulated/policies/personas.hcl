persona "engineer" {
  groups = ["engineers"]
}

persona "on call" {
  groups = ["engineers", "on-call"]
}

persona "approver" {
  groups   = ["engineers"]
  roles    = ["change-approver"]
  mfa      = true
  auth_age = "5m"
}

persona "approver since this morning" {
  groups   = ["engineers"]
  roles    = ["change-approver"]
  mfa      = true
  auth_age = "4h"
}

persona "analyst" {
  groups = ["analysts"]
  ip     = "10.1.2.3"
}

persona "analyst at home" {
  groups = ["analysts"]
  ip     = "203.0.113.7"
}

persona "breaking the glass" {
  groups = ["engineers", "break-glass"]
  acrs   = ["c1"]
  mfa    = true
}

persona "break-glass without a key" {
  groups = ["engineers", "break-glass"]
  mfa    = true
}

persona "somebody with unknown groups" {
  groups_known = false
}

persona "guest" {
  guest = true
}
