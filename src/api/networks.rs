//! Calls about networks.

use serde_json::{Map, Value, json};

use super::call::Call;
use crate::base::{Error, Result};
use crate::engine::{NetworkView, NewNetwork};
use crate::wire::json as wire_json;
use crate::wire::network as wire;

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<()> {
    let filters = call.filters()?;
    let networks = call.engine().networks(&filters)?;
    // Who is on them is for `inspect` to tell.
    let shown: Vec<Value> = networks.iter().map(|view| render(view, false)).collect();
    call.reply_json(200, &shown)
}

pub(super) fn inspect(call: &mut Call<'_, '_>) -> Result<()> {
    let view = call.engine().network(call.name)?;
    call.reply_json(200, &render(&view, true))
}

pub(super) fn create(call: &mut Call<'_, '_>) -> Result<()> {
    let request: wire::CreateRequest = wire_json::from_request(&call.body()?)?;
    let (subnet, gateway) = request.check()?;
    let wire::CreateRequest { name, internal, labels, options, .. } = request;
    let new = NewNetwork { name, subnet, gateway, internal, labels, options };
    let id = call.engine().create_network(new)?;
    call.reply_json(201, &wire::CreateResponse { id, warning: String::new() })
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

fn render(view: &NetworkView, whole: bool) -> Value {
    let NetworkView { network, driver, made: _, containers } = view;
    let config: Vec<Value> = network
        .gateway
        .iter()
        .map(|gateway| {
            let host = u32::MAX.checked_shr(network.prefix.into()).unwrap_or(0);
            let first = std::net::Ipv4Addr::from(u32::from(*gateway) & !host);
            let subnet = format!("{first}/{}", network.prefix);
            json!({"Subnet": subnet, "Gateway": gateway.to_string()})
        })
        .collect();
    let mut options = network.options.clone();
    if !network.bridge.is_empty() {
        let key = "com.docker.network.bridge.name".to_owned();
        options.entry(key).or_insert_with(|| network.bridge.clone());
    }
    let mut on_it = Map::new();
    for (id, name, place) in containers.iter().filter(|_| whole) {
        let endpoint = json!({
            "Name": name,
            "EndpointID": super::render::endpoint_id(id, place),
            "MacAddress": place.mac_text(),
            "IPv4Address": format!("{}/{}", place.address, place.prefix),
            "IPv6Address": "",
        });
        on_it.insert(id.to_string(), endpoint);
    }
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created.to_string(),
        "Scope": "local",
        "Driver": driver,
        "EnableIPv6": false,
        "IPAM": {"Driver": "default", "Options": null, "Config": config},
        "Internal": network.internal,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": on_it,
        "Options": options,
        "Labels": network.labels,
    })
}
