//! Calls about networks.

use std::collections::BTreeMap;

use super::call::Call;
use crate::base::order::Ordered;
use crate::base::{Error, Result};
use crate::engine::{Network, NetworkView, NewNetwork, NewRange};
use crate::model::range::{self, Range};
use crate::wire::json as wire_json;
use crate::wire::network as wire;

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<()> {
    let filters = call.filters()?;
    let networks = call.engine().networks(&filters)?;
    // Who is on them is for `inspect` to tell.
    let shown: Vec<_> = networks.iter().map(|view| render(view, false)).collect();
    call.reply_json(200, &shown)
}

pub(super) fn inspect(call: &mut Call<'_, '_>) -> Result<()> {
    let view = call.engine().network(call.name)?;
    call.reply_json(200, &render(&view, true))
}

pub(super) fn create(call: &mut Call<'_, '_>) -> Result<()> {
    let mut request: wire::CreateRequest = wire_json::from_request(&call.body()?)?;
    let warning = request.check()?;
    let wire::CreateRequest { name, internal, labels, options, ipam, enable_ipv6: v6, .. } =
        request;
    let range = |config| {
        let wire::IpamConfig { subnet, ip_range: part, gateway, auxiliary_addresses: auxiliary } =
            config;
        NewRange { subnet, gateway, part, auxiliary }
    };
    let ranges = ipam.config.into_iter().map(range).collect();
    let new = NewNetwork { name, ranges, v6, internal, labels, options };
    let id = call.engine().create_network(new)?;
    call.reply_json(201, &wire::CreateResponse { id, warning })
}

pub(super) fn remove(call: &mut Call<'_, '_>) -> Result<()> {
    call.engine().remove_network(call.name)?;
    call.reply_empty(204)
}

pub(super) fn prune(call: &mut Call<'_, '_>) -> Result<()> {
    let removed = call.engine().prune_networks(&call.filters()?)?;
    let networks_deleted = (!removed.is_empty()).then_some(removed);
    call.reply_json(200, &wire::PruneResponse { networks_deleted })
}

fn target(call: &mut Call<'_, '_>) -> Result<wire::ConnectRequest> {
    let request: wire::ConnectRequest = wire_json::from_request(&call.body()?)?;
    if request.container.is_empty() {
        return Err(Error::bad_parameter("no container is named"));
    }
    Ok(request)
}

pub(super) fn connect(call: &mut Call<'_, '_>) -> Result<()> {
    let wire::ConnectRequest { container, force: _, endpoint_config } = target(call)?;
    let endpoint = endpoint_config.into_model()?;
    crate::container::validate::check_endpoint(&endpoint, call.name == "bridge")?;
    call.engine().connect_network(call.name, &container, endpoint)?;
    call.reply_empty(200)
}

pub(super) fn disconnect(call: &mut Call<'_, '_>) -> Result<()> {
    let wire::ConnectRequest { container, .. } = target(call)?;
    call.engine().disconnect_network(call.name, &container)?;
    call.reply_empty(200)
}

fn config(network: &Network, own: Range) -> wire::IpamConfig {
    let v6 = own.0.is_ipv6();
    let part = network.parts.iter().find(|part| part.0.is_ipv6() == v6);
    let of_family = network.auxiliary.iter().filter(|(_, address)| address.is_ipv6() == v6);
    wire::IpamConfig {
        subnet: range::text(own),
        ip_range: part.map(|part| range::text(*part)).unwrap_or_default(),
        gateway: own.0.to_string(),
        auxiliary_addresses: of_family.map(|(name, a)| (name.clone(), a.to_string())).into_map(),
    }
}

/// A network; who is on it where `whole`.
fn render(view: &NetworkView, whole: bool) -> wire::Shown<'_> {
    let NetworkView { network, driver, made, containers } = view;
    let mut options: BTreeMap<&str, &str> =
        network.options.iter().map(|(key, value)| (key.as_str(), value.as_str())).into_map();
    if !made && !network.bridge.is_empty() {
        let own = [
            ("com.docker.network.bridge.default_bridge", "true"),
            ("com.docker.network.bridge.enable_icc", "true"),
            ("com.docker.network.bridge.enable_ip_masquerade", "true"),
            ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
            ("com.docker.network.bridge.name", &network.bridge),
        ];
        options.extend(own);
    }
    let on_it = containers.iter().filter(|_| whole).map(|(id, name, place)| {
        let six = place.v6.map(|six| format!("{}/{}", six.address, six.prefix));
        let shown = wire::ShownContainer {
            name,
            endpoint_id: super::render::endpoint_id(id, place),
            mac_address: place.mac_text(),
            ipv4_address: format!("{}/{}", place.address, place.prefix),
            ipv6_address: six.unwrap_or_default(),
        };
        (id.as_str(), shown)
    });
    wire::Shown {
        name: &network.name,
        id: &network.id,
        created: network.created.to_string(),
        scope: "local",
        driver,
        enable_ipv6: network.gateway6.is_some(),
        ipam: wire::ShownIpam {
            driver: "default",
            options: made.then(BTreeMap::new),
            config: network.ranges().map(|own| config(network, own)).collect(),
        },
        internal: network.internal,
        attachable: false,
        ingress: false,
        config_from: wire::ConfigFrom::default(),
        config_only: false,
        containers: on_it.into_map(),
        options,
        labels: &network.labels,
    }
}
